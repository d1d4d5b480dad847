// JPEG by libjpeg-turbo, with its defaults, which are also Pillow's: accurate DCT, smooth chroma upsampling.

#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE
#include <string>

// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "decode.hpp"
#include "exif.hpp"
#include "files.hpp"

namespace edgekit {

namespace {

constexpr int kMaxScans = 500;  // a small progressive file may hold thousands, each a pass over all pixels

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
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);  // EXIF and XMP
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
    static const std::string kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
    Bytes exif, xmp;
    for (const jpeg_marker_struct* each = info_.marker_list; each != nullptr; each = each->next) {
      const std::string start(reinterpret_cast<const char*>(each->data), std::min<std::size_t>(each->data_length, 29));
      if (start.compare(0, kExif.size(), kExif) == 0)
        exif.insert(exif.end(), each->data + 6, each->data + each->data_length);
      if (start == kXmp) xmp.assign(each->data + 29, each->data + each->data_length);
    }
    bool told = false;
    const int by_exif = orientation_of_exif(exif, &told);
    return told ? by_exif : orientation_of_xmp(xmp);
  }

 private:
  static Decoder* of(j_common_ptr info) { return static_cast<Decoder*>(info->client_data); }

  [[noreturn]] void fail() {
    errors_.format_message(reinterpret_cast<j_common_ptr>(&info_), message_);
    failed_ = true;
    std::longjmp(back_, 1);
  }

  // libjpeg makes pixels up where data is damaged, and calls it a warning: here it is an error.
  void warned(int level) {
    const int code = errors_.msg_code;
    const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
                          code == JWRN_TOO_MUCH_DATA;
    if (level < 0 && !harmless) fail();
  }

  void count_scans() {
    if (info_.input_scan_number <= kMaxScans) return;
    std::snprintf(message_, sizeof message_, "more than %d scans", kMaxScans);
    failed_ = true;
    std::longjmp(back_, 1);
  }

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf back_{};
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
