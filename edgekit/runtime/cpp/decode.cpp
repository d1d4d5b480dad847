#include "decode.hpp"

#include <cstring>
#include <string>

#include "files.hpp"

namespace edgekit {

std::size_t checked_pixels(std::size_t width, std::size_t height, const Limits& limits) {
  const std::string sides = std::to_string(width) + "x" + std::to_string(height);
  if (width == 0 || height == 0) refuse("an image has no pixels: " + sides, "Give another image.");
  if (width > limits.pixels / height) {
    refuse("an image has too many pixels: " + sides + ", over " + std::to_string(limits.pixels),
           "Give a smaller one, or raise Limits::pixels.");
  }
  return width * height;
}

Image decode(const std::uint8_t* bytes, std::size_t count, const Limits& limits) {
  static const std::uint8_t kJpeg[] = {0xff, 0xd8, 0xff};
  static const std::uint8_t kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (count > limits.file_bytes) {
    refuse("an image has " + std::to_string(count) + " bytes, more than " + std::to_string(limits.file_bytes),
           "Give a smaller one, or raise Limits::file_bytes.");
  }
  return within_memory([&] {
    if (count >= sizeof kJpeg && std::memcmp(bytes, kJpeg, sizeof kJpeg) == 0) return decode_jpeg(bytes, count, limits);
    if (count >= sizeof kPng && std::memcmp(bytes, kPng, sizeof kPng) == 0) return decode_png(bytes, count, limits);
    refuse("an image is neither JPEG nor PNG", "Convert it to one of them.");
  });
}

Image read_image(const std::string& path, const Limits& limits) {
  const Bytes content = within_memory([&] { return read_file(path, limits.file_bytes, Links::follow); });
  try {
    return decode(content.data(), content.size(), limits);
  } catch (const Error& error) {
    throw Error(error.kind(), path + ": " + error.what(), error.hint());
  }
}

}  // namespace edgekit
