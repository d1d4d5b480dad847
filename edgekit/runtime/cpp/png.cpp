// PNG by libpng, to the pixels that Pillow's convert("RGB") gives: alpha and gamma are left aside, 16 bits become the
// upper 8, but those of grey are scaled, as edgekit/runtime/rgb.py has it.

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string>

#include "decode.hpp"
#include "exif.hpp"
#include "files.hpp"

namespace edgekit {

namespace {

constexpr png_uint_32 kMaxSide = 1 << 24;
constexpr png_alloc_size_t kMaxChunkBytes = 8 << 20;
// Chunks that change no pixel, but for eXIf. libpng would unpack and keep up to a thousand of them, 8 MiB each.
constexpr char kLeftAside[][5] = {"bKGD", "cHRM", "gAMA", "hIST", "iCCP", "iTXt", "oFFs", "pCAL", "pHYs",
                                  "sBIT", "sCAL", "sPLT", "sRGB", "sTER", "tEXt", "tIME", "zTXt"};

// libpng's errors come back by longjmp: no function that calls it holds an object with a destructor.
class Decoder {
 public:
  Decoder(const std::uint8_t* bytes, std::size_t count) : next_(bytes), left_(count) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp message) { static_cast<Decoder*>(png_get_error_ptr(png))->fail(message); },
        [](png_structp, png_const_charp) {});
    if (png_ == nullptr) return;
    info_ = png_create_info_struct(png_);
  }
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  bool read_header() {
    if (info_ == nullptr || setjmp(back_) != 0) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep into, std::size_t count) {
      static_cast<Decoder*>(png_get_io_ptr(png))->give(into, count);
    });
    png_set_user_limits(png_, kMaxSide, kMaxSide);
    png_set_chunk_malloc_max(png_, kMaxChunkBytes);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, reinterpret_cast<png_const_bytep>(kLeftAside),
                                static_cast<int>(std::size(kLeftAside)));
    png_read_info(png_, info_);
    return true;
  }

  // Asks for 8 bits a channel, RGB; palettes stay indices, since libpng does not tell of indices beyond the palette,
  // and 16 bits of grey stay such.
  bool choose_form() {
    if (setjmp(back_) != 0) return false;
    if (palette()) {
      png_set_packing(png_);
    } else if (!deep_grey()) {
      if (bits() == 16) png_set_strip_16(png_);
      if (bits() < 8) png_set_expand_gray_1_2_4_to_8(png_);
      png_set_gray_to_rgb(png_);
      png_set_strip_alpha(png_);
    }
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  bool read_pixels(png_bytepp rows) {
    if (setjmp(back_) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, info_);
    return true;
  }

  // Of the eXIf chunk, once the pixels are read: it may come after them.
  int orientation() const {
    png_bytep tiff = nullptr;
    png_uint_32 count = 0;
    if (png_get_eXIf_1(png_, info_, &count, &tiff) == 0 || tiff == nullptr) return 1;
    bool told = false;
    return orientation_of_exif(Bytes(tiff, tiff + count), &told);
  }

  // The palette's colours as RGB, index by index; sets how many there are.
  const png_color* colours(std::size_t* count) {
    png_colorp found = nullptr;
    int number = 0;
    png_get_PLTE(png_, info_, &found, &number);
    *count = static_cast<std::size_t>(number);
    return found;
  }

  std::size_t width() const { return png_get_image_width(png_, info_); }
  std::size_t height() const { return png_get_image_height(png_, info_); }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  int bits() const { return png_get_bit_depth(png_, info_); }
  bool palette() const { return png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE; }
  bool deep_grey() const { return bits() == 16 && png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY; }
  std::string message() const { return message_; }

 private:
  [[noreturn]] void fail(const char* message) {
    std::snprintf(message_, sizeof message_, "%s", message);
    std::longjmp(back_, 1);
  }

  void give(png_bytep into, std::size_t count) {
    if (count > left_) fail("it ends too early");
    std::memcpy(into, next_, count);
    next_ += count;
    left_ -= count;
  }

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  const std::uint8_t* next_;
  std::size_t left_;
  std::jmp_buf back_{};
  char message_[160] = "out of memory";
};

const char* const kReplace = "Replace the image.";

Bytes colours_of(Decoder& decoder, const Bytes& indices) {
  std::size_t count = 0;
  const png_color* colours = decoder.colours(&count);
  Bytes rgb;
  rgb.reserve(indices.size() * 3);
  for (const std::uint8_t index : indices) {
    if (index >= count) refuse("a PNG is damaged: a pixel's colour is not in its palette", kReplace);
    rgb.insert(rgb.end(), {colours[index].red, colours[index].green, colours[index].blue});
  }
  return rgb;
}

// 16 bits of grey, high byte first, as RGB: v / 257, rounded.
Bytes scaled_of(const Bytes& deep) {
  Bytes rgb;
  rgb.reserve(deep.size() / 2 * 3);
  for (std::size_t i = 0; i < deep.size(); i += 2) {
    rgb.insert(rgb.end(), 3, static_cast<std::uint8_t>((deep[i] * 256 + deep[i + 1] + 128) / 257));
  }
  return rgb;
}

}  // namespace

Image decode_png(const std::uint8_t* bytes, std::size_t count, const Limits& limits) {
  Decoder decoder(bytes, count);
  if (!decoder.read_header()) refuse("a PNG cannot be decoded: " + decoder.message(), kReplace);
  const std::size_t pixels = checked_pixels(decoder.width(), decoder.height(), limits);
  if (!decoder.choose_form()) refuse("a PNG cannot be decoded: " + decoder.message(), kReplace);
  const bool deep = decoder.deep_grey();
  const std::size_t depth = decoder.palette() ? 1 : deep ? 2 : 3;
  if (decoder.row_bytes() != decoder.width() * depth) refuse("a PNG cannot be decoded to RGB", kReplace);
  Bytes decoded(pixels * depth);
  std::vector<png_bytep> rows(decoder.height());
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = decoded.data() + y * decoder.row_bytes();
  if (!decoder.read_pixels(rows.data())) refuse("a PNG is damaged or cut short: " + decoder.message(), kReplace);
  const int orientation = decoder.orientation();
  Bytes rgb = decoder.palette() ? colours_of(decoder, decoded) : deep ? scaled_of(decoded) : std::move(decoded);
  return {static_cast<int>(decoder.width()), static_cast<int>(decoder.height()), std::move(rgb), orientation};
}

}  // namespace edgekit
