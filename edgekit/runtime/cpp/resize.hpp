// Resizing, of which only a part is made. Internal; the definitions are those of edgekit/runtime/*.py.
#pragma once

#include <cstddef>

#include "edgekit.hpp"

namespace edgekit {

// The part of a resized image that is wanted.
struct Window {
  int left, top, width, height;
};

inline std::size_t row_bytes(int width) { return static_cast<std::size_t>(width) * 3; }

// The window of the image resized to width x height, as Pillow (resize.cpp) or OpenCV (opencv_resize.cpp) does it.
Image resized_as_pillow(const Image& image, int width, int height, Interpolation interpolation, const Window& window);
Image resized_as_opencv(const Image& image, int width, int height, Interpolation interpolation, const Window& window);

// Throws Error: an empty image, or one whose pixels are not height x width x 3.
void check_image(const Image& image);

// Throws Error: the image, or its new size, has a side below 1 or over 2^24.
void check_sides(const Image& image, double width, double height);

// Either of them, by whether it is antialiased; areas are OpenCV's. Of an image that was checked. Throws Error: a side
// over 2^24, or Lanczos without antialiasing.
Image resized(const Image& image, double width, double height, Interpolation interpolation, bool antialias,
              const Window& window);

// The image turned as its orientation says; itself where that is 1.
Image upright(const Image& image);

}  // namespace edgekit
