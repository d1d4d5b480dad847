// The decoders behind edgekit::decode. Internal.
#pragma once

#include <cstddef>
#include <cstdint>

#include "edgekit.hpp"

namespace edgekit {

// The pixels of an image, before any memory is taken for them. Throws Error: none, or more than the limits allow.
std::size_t checked_pixels(std::size_t width, std::size_t height, const Limits& limits);

Image decode_jpeg(const std::uint8_t* bytes, std::size_t count, const Limits& limits);
Image decode_png(const std::uint8_t* bytes, std::size_t count, const Limits& limits);

}  // namespace edgekit
