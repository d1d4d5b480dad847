// JPEG by libjpeg-turbo, with its defaults, which are also Pillow's: accurate DCT, smooth chroma upsampling.

#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "decode.hpp"
#include "exif.hpp"
#include "files.hpp"

namespace edgekit {

namespace {

constexpr int kMaxScans =
    100;  // each is a pass over all pixels, and may be of a few bytes; encoders make up to about 20
const char* const kTooManyScans = "more than 100 scans";

constexpr std::string_view kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);

// A part of the file.
struct Segment {
  const std::uint8_t* data = nullptr;
  std::size_t length = 0;

  bool begins_with(std::string_view words) const {
    return length >= words.size() && std::memcmp(data, words.data(), words.size()) == 0;
  }
  Segment without(std::string_view words) const { return {data + words.size(), length - words.size()}; }
};

// libjpeg's errors come back by longjmp: no function that calls it holds an object with a destructor.
class Decoder {
 public:
  Decoder(const std::uint8_t* bytes, std::size_t count) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { of(info)->fail(); };
    errors_.emit_message = [](j_common_ptr info, int level) { of(info)->warned(level); };
    progress_.progress_monitor = [](j_common_ptr info) { of(info)->count_scans(); };
    if (setjmp(back_) != 0) return;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, bytes, static_cast<unsigned long>(count));
  }
  ~Decoder() { jpeg_destroy_decompress(&info_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  bool read_header() {
    if (failed_ || setjmp(back_) != 0) return false;
    jpeg_set_marker_processor(&info_, JPEG_APP0 + 1, [](j_decompress_ptr info) -> boolean {
      of(reinterpret_cast<j_common_ptr>(info))->note_segment();
      return TRUE;
    });
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  // Decodes into rows of width * channels bytes.
  bool read_pixels(std::uint8_t* into, std::size_t stride) {
    if (setjmp(back_) != 0) return false;
    info_.out_color_space = channels() == 1 ? JCS_GRAYSCALE : channels() == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = into + info_.output_scanline * stride;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  std::size_t width() const { return info_.image_width; }
  std::size_t height() const { return info_.image_height; }
  int channels() const { return info_.num_components; }
  std::string message() const { return message_; }

  // 1 to 8, once the header is read: Exif segments, joined, or, where they say nothing, the last XMP packet.
  int orientation() const {
    Bytes exif;
    for (const Segment& each : exif_) exif.insert(exif.end(), each.data, each.data + each.length);
    bool told = false;
    const int by_exif = orientation_of_exif(exif, &told);
    return told ? by_exif : orientation_of_xmp(Bytes(xmp_.data, xmp_.data + xmp_.length));
  }

 private:
  static Decoder* of(j_common_ptr info) { return static_cast<Decoder*>(info->client_data); }

  [[noreturn]] void fail() {
    errors_.format_message(reinterpret_cast<j_common_ptr>(&info_), message_);
    failed_ = true;
    std::longjmp(back_, 1);
  }

  [[noreturn]] void fail(const char* why) {
    std::snprintf(message_, sizeof message_, "%s", why);
    failed_ = true;
    std::longjmp(back_, 1);
  }

  // An APP1 segment, EXIF or XMP, is left where it is: all of the file is in libjpeg's buffer. Its own way to keep
  // segments goes through those that it has for each one more, which takes hours with a million of them.
  void note_segment() {
    jpeg_source_mgr& from = *info_.src;
    if (from.bytes_in_buffer < 2) fail("it ends in a segment");
    const std::uint8_t* begin = from.next_input_byte;
    const std::size_t length = std::max<std::size_t>(2, begin[0] * 256U + begin[1]);  // with these two bytes
    if (length > from.bytes_in_buffer) fail("it ends in a segment");
    const Segment whole{begin + 2, length - 2};
    if (whole.begins_with(kXmp)) xmp_ = whole.without(kXmp);
    if (whole.begins_with(kExif) && !kept(whole.without(kExif))) fail("there is not enough memory");
    from.next_input_byte += length;
    from.bytes_in_buffer -= length;
  }

  // Apart from its caller, which may leave by longjmp: no exception may pass through libjpeg.
  bool kept(const Segment& segment) {
    try {
      exif_.push_back(segment);
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  // libjpeg makes pixels up where data is damaged, and calls it a warning: here it is an error.
  void warned(int level) {
    const int code = errors_.msg_code;
    const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
                          code == JWRN_TOO_MUCH_DATA;
    if (level < 0 && !harmless) fail();
  }

  void count_scans() {
    if (info_.input_scan_number > kMaxScans) fail(kTooManyScans);
  }

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf back_{};
  std::vector<Segment> exif_;
  Segment xmp_;
  char message_[JMSG_LENGTH_MAX] = "";
  bool failed_ = false;
};

std::uint8_t scaled(int value, int by) {  // value * by / 255, rounded
  const int product = value * by + 128;
  return static_cast<std::uint8_t>(((product >> 8) + product) >> 8);
}

// Four channels as Adobe writes them, inverted: each is what is left of white, so ink-free is 255.
void rgb_of_cmyk(const Bytes& cmyk, Bytes& rgb) {
  for (std::size_t pixel = 0; pixel * 4 < cmyk.size(); ++pixel) {
    const std::uint8_t* from = &cmyk[pixel * 4];
    for (std::size_t i = 0; i < 3; ++i) {
      rgb[pixel * 3 + i] = static_cast<std::uint8_t>(from[3] - scaled(255 - from[i], from[3]));
    }
  }
}

}  // namespace

Image decode_jpeg(const std::uint8_t* bytes, std::size_t count, const Limits& limits) {
  const std::string hint = "Replace the image.";
  Decoder decoder(bytes, count);
  if (!decoder.read_header()) refuse("a JPEG cannot be decoded: " + decoder.message(), hint);
  const int channels = decoder.channels();
  if (channels != 1 && channels != 3 && channels != 4) {
    refuse("a JPEG has " + std::to_string(channels) + " channels, not 1, 3 or 4", hint);
  }
  const std::size_t pixels = checked_pixels(decoder.width(), decoder.height(), limits);
  const auto depth = static_cast<std::size_t>(channels);
  const int orientation = decoder.orientation();  // what it is read from goes when the pixels are read
  Bytes decoded(pixels * depth);
  if (!decoder.read_pixels(decoded.data(), decoder.width() * depth)) {
    refuse("a JPEG is damaged or cut short: " + decoder.message(), hint);
  }
  Image image{static_cast<int>(decoder.width()), static_cast<int>(decoder.height()), {}, orientation};
  if (channels == 3) {
    image.rgb = std::move(decoded);
    return image;
  }
  image.rgb.resize(pixels * 3);
  if (channels == 4) {
    rgb_of_cmyk(decoded, image.rgb);
  } else {
    for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = decoded[i / 3];
  }
  return image;
}

}  // namespace edgekit
