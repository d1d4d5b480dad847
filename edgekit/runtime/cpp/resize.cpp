// Resizing as edgekit/runtime/resize.py defines it: the pixels that Pillow makes of RGB images when it resizes
// the width and then the height. Two passes in fixed point; only the part that the crop keeps is computed.

#include "resize.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "files.hpp"

namespace edgekit {

namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // of the weights: 8 bits are the pixel's, 2 are for overshoot
constexpr int kMaxSide = 1 << 24;           // beyond it Pillow's own box, made of floats, is not exact
// Pixels between the passes, as many as Limits has for an image: a strip one pixel wide would become as wide as the
// input before it is made lower. As edgekit/runtime/resize.py has it.
constexpr std::size_t kMaxBetween = 89478485;
constexpr double kPi = 3.14159265358979323846;

struct Filter {
  double (*weight)(double);
  double support;
};

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= kPi;
  return std::sin(x) / x;
}

double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

Filter filter_of(Interpolation interpolation) {
  if (interpolation == Interpolation::bilinear) return {bilinear, 1.0};
  return interpolation == Interpolation::lanczos ? Filter{lanczos, 3.0} : Filter{bicubic, 2.0};
}

// One pixel along an axis: which source pixels make it, and their weights in fixed point.
struct Taps {
  int first;
  std::vector<std::int32_t> weights;
};

std::int32_t fixed_point(double weight) {
  return static_cast<std::int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kPrecisionBits));
}

// Taps of the pixels from..from+count of an axis that goes from `source` to `wanted` pixels.
std::vector<Taps> taps_of(int source, int wanted, int from, int count, const Filter& filter) {
  const double scale = static_cast<double>(source) / wanted;
  const double stretch = std::max(scale, 1.0);  // when shrinking, the filter covers more source pixels
  const double support = filter.support * stretch;
  std::vector<Taps> made(static_cast<std::size_t>(count));
  std::vector<double> weights;
  for (int i = 0; i < count; ++i) {
    if (source == wanted) {  // no pass: each pixel is its own
      made[static_cast<std::size_t>(i)] = {from + i, {1 << kPrecisionBits}};
      continue;
    }
    const double centre = (from + i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int end = std::min(source, static_cast<int>(centre + support + 0.5));
    double sum = 0.0;
    weights.clear();
    for (int x = first; x < end; ++x) {
      weights.push_back(filter.weight((x - centre + 0.5) * (1.0 / stretch)));
      sum += weights.back();
    }
    Taps& taps = made[static_cast<std::size_t>(i)];
    taps.first = first;
    for (const double weight : weights) taps.weights.push_back(fixed_point(sum != 0.0 ? weight / sum : weight));
  }
  return made;
}

std::uint8_t clipped(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255)); }

constexpr std::int32_t kHalf = 1 << (kPrecisionBits - 1);

// Rows top..top+height of `image`, resized along the row to taps.size() pixels.
Image along_rows(const Image& image, const std::vector<Taps>& taps, int top, int height) {
  Image made{static_cast<int>(taps.size()), height, Bytes(taps.size() * 3 * static_cast<std::size_t>(height))};
  std::uint8_t* into = made.rgb.data();
  for (int y = 0; y < height; ++y) {
    const std::uint8_t* row = image.rgb.data() + static_cast<std::size_t>(top + y) * row_bytes(image.width);
    for (const Taps& each : taps) {
      std::int32_t red = kHalf, green = kHalf, blue = kHalf;
      const std::uint8_t* pixel = row + row_bytes(each.first);
      for (const std::int32_t weight : each.weights) {
        red += pixel[0] * weight;
        green += pixel[1] * weight;
        blue += pixel[2] * weight;
        pixel += 3;
      }
      *into++ = clipped(red);
      *into++ = clipped(green);
      *into++ = clipped(blue);
    }
  }
  return made;
}

// `image`, whose first row is the source's row `top`, resized along columns to taps.size() pixels.
Image along_columns(const Image& image, const std::vector<Taps>& taps, int top) {
  const std::size_t stride = row_bytes(image.width);
  Image made{image.width, static_cast<int>(taps.size()), Bytes(stride * taps.size())};
  std::vector<std::int32_t> sums(stride);
  std::uint8_t* into = made.rgb.data();
  for (const Taps& each : taps) {
    std::fill(sums.begin(), sums.end(), kHalf);
    const std::uint8_t* row = image.rgb.data() + static_cast<std::size_t>(each.first - top) * stride;
    for (const std::int32_t weight : each.weights) {
      for (std::size_t i = 0; i < stride; ++i) sums[i] += row[i] * weight;
      row += stride;
    }
    for (const std::int32_t sum : sums) *into++ = clipped(sum);
  }
  return made;
}

Image filtered(const Image& image, int width, int height, const Filter& filter, const Window& window) {
  const std::vector<Taps> columns = taps_of(image.width, width, window.left, window.width, filter);
  const std::vector<Taps> rows = taps_of(image.height, height, window.top, window.height, filter);
  const int top = rows.front().first;
  const int end = rows.back().first + static_cast<int>(rows.back().weights.size());
  if (columns.size() * static_cast<std::size_t>(end - top) > kMaxBetween) {
    refuse("an image of " + std::to_string(image.width) + "x" + std::to_string(image.height) +
               " cannot be resized to " + std::to_string(width) + "x" + std::to_string(height) +
               ": it is too long and narrow",
           "Crop it first.");
  }
  return along_columns(along_rows(image, columns, top, end - top), rows, top);
}

// Pillow adds up positions step by step, with the rounding that this brings: so does this.
std::vector<int> nearest_positions(int source, int wanted, int from, int count) {
  const double step = static_cast<double>(source) / wanted;
  double position = step * 0.5;
  std::vector<int> made;
  for (int i = 0; i < from + count; ++i, position += step) {
    if (i >= from) made.push_back(std::min(static_cast<int>(position), source - 1));
  }
  return made;
}

Image nearest(const Image& image, int width, int height, const Window& window) {
  const std::vector<int> columns = nearest_positions(image.width, width, window.left, window.width);
  Image made{window.width, window.height, {}};
  made.rgb.reserve(row_bytes(window.width) * static_cast<std::size_t>(window.height));
  for (const int y : nearest_positions(image.height, height, window.top, window.height)) {
    const std::uint8_t* row = image.rgb.data() + static_cast<std::size_t>(y) * row_bytes(image.width);
    for (const int x : columns) made.rgb.insert(made.rgb.end(), row + row_bytes(x), row + row_bytes(x) + 3);
  }
  return made;
}

}  // namespace

void check_image(const Image& image) {
  if (image.width < 1 || image.height < 1 ||
      image.rgb.size() != row_bytes(image.width) * static_cast<std::size_t>(image.height)) {
    refuse("an image is empty, or its pixels are not height x width x 3", "Give uint8 RGB pixels.");
  }
}

void check_sides(const Image& image, double width, double height) {
  const double longest = std::max({width, height, double(image.width), double(image.height)});
  if (!(longest <= kMaxSide) || !(width >= 1 && height >= 1)) {
    refuse("an image of " + std::to_string(image.width) + "x" + std::to_string(image.height) +
               " cannot be resized: a side would be below 1 or over 16777216 pixels",
           "Crop it first.");
  }
}

Image resized_as_pillow(const Image& image, int width, int height, Interpolation interpolation, const Window& window) {
  return interpolation == Interpolation::nearest ? nearest(image, width, height, window)
                                                 : filtered(image, width, height, filter_of(interpolation), window);
}

Image resized(const Image& image, double width, double height, Interpolation interpolation, bool antialias,
              const Window& window) {
  check_sides(image, width, height);
  if (!antialias && interpolation == Interpolation::lanczos) {
    refuse("lanczos is always antialiased", "Take another interpolation.");
  }
  const bool as_opencv = !antialias || interpolation == Interpolation::area;
  return (as_opencv ? resized_as_opencv : resized_as_pillow)(image, static_cast<int>(width), static_cast<int>(height),
                                                             interpolation, window);
}

Image resize(const Image& image, int width, int height, Interpolation interpolation, bool antialias) {
  check_image(image);
  return within_memory([&] { return resized(image, width, height, interpolation, antialias, {0, 0, width, height}); });
}

}  // namespace edgekit
