// Resizing without antialiasing as edgekit/runtime/opencv_resize.py defines it: OpenCV's for uint8. The order of the
// operations, and where they are in single precision, decide the last bit.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "resize.hpp"

namespace edgekit {

namespace {

constexpr int kBits = 11;  // of a weight

// Where a new pixel lies along an axis: the old one before it, and how far beyond it.
struct Place {
  int at;
  float rest;
};

using Positions = Place (*)(int number, int source, int wanted);

Place centred(int number, int source, int wanted) {
  const double scale = 1.0 / (static_cast<double>(wanted) / source);
  const auto at = static_cast<float>((number + 0.5) * scale - 0.5);
  const float whole = std::floor(at);
  return {static_cast<int>(whole), at - whole};
}

Place by_area(int number, int source, int wanted) {
  const double inverse = static_cast<double>(wanted) / source;
  const auto at = static_cast<int>(std::floor(number * (1.0 / inverse)));
  const auto rest = static_cast<float>((number + 1) - (at + 1) * inverse);
  return {at, rest <= 0 ? 0.0F : rest - std::floor(rest)};
}

std::int32_t whole_weight(float weight) {
  return static_cast<std::int32_t>(std::nearbyint(weight * static_cast<float>(1 << kBits)));
}

// The old pixels that make a new one, and their weights.
template <std::size_t N>
struct Taps {
  std::array<int, N> places;
  std::array<std::int32_t, N> weights;
};

Taps<2> pair_of(const Place& place, float rest, int source) {
  return {{std::clamp(place.at, 0, source - 1), std::clamp(place.at + 1, 0, source - 1)},
          {whole_weight(1.0F - rest), whole_weight(rest)}};
}

Taps<4> cubic_of(const Place& place, int source) {
  constexpr float a = -0.75F;
  const float x = place.rest, y = x + 1.0F, z = 1.0F - x;
  const float first = ((a * y - 5 * a) * y + 8 * a) * y - 4 * a;
  const float second = ((a + 2) * x - (a + 3)) * x * x + 1.0F;
  const float third = ((a + 2) * z - (a + 3)) * z * z + 1.0F;
  const std::array<float, 4> weights{first, second, third, 1.0F - first - second - third};
  Taps<4> made{};
  for (int i = 0; i < 4; ++i) {
    const auto tap = static_cast<std::size_t>(i);
    made.places[tap] = std::clamp(place.at - 1 + i, 0, source - 1);
    made.weights[tap] = whole_weight(weights[tap]);
  }
  return made;
}

const std::uint8_t* row_of(const Image& image, int y) {
  return image.rgb.data() + static_cast<std::size_t>(y) * row_bytes(image.width);
}

// A row resized along itself, not divided yet.
template <std::size_t N>
void along_row(const std::uint8_t* row, const std::vector<Taps<N>>& taps, std::vector<std::int32_t>& into) {
  std::size_t at = 0;
  for (const Taps<N>& each : taps) {
    for (std::size_t channel = 0; channel < 3; ++channel, ++at) {
      std::int32_t sum = 0;
      for (std::size_t tap = 0; tap < N; ++tap) sum += row[row_bytes(each.places[tap]) + channel] * each.weights[tap];
      into[at] = sum;
    }
  }
}

std::uint8_t level(std::int64_t value) { return static_cast<std::uint8_t>(std::clamp<std::int64_t>(value, 0, 255)); }

Image linear(const Image& image, int width, int height, const Window& window, Positions positions) {
  std::vector<Taps<2>> across;
  for (int i = 0; i < window.width; ++i) {
    const Place place = positions(window.left + i, image.width, width);
    const bool inside = place.at >= 0 && place.at < image.width - 1;
    across.push_back(pair_of(place, inside ? place.rest : 0.0F, image.width));
  }
  Image made{window.width, window.height, {}};
  made.rgb.reserve(row_bytes(window.width) * static_cast<std::size_t>(window.height));
  std::vector<std::int32_t> above(row_bytes(window.width)), below(above.size());
  for (int i = 0; i < window.height; ++i) {
    const Place place = positions(window.top + i, image.height, height);
    const Taps<2> down = pair_of(place, place.rest, image.height);
    along_row(row_of(image, down.places[0]), across, above);
    along_row(row_of(image, down.places[1]), across, below);
    for (std::size_t k = 0; k < above.size(); ++k) {
      const std::int32_t sum =
          ((down.weights[0] * (above[k] >> 4)) >> 16) + ((down.weights[1] * (below[k] >> 4)) >> 16);
      made.rgb.push_back(level((sum + 2) >> 2));
    }
  }
  return made;
}

Image cubic(const Image& image, int width, int height, const Window& window) {
  std::vector<Taps<4>> across;
  for (int i = 0; i < window.width; ++i) {
    across.push_back(cubic_of(centred(window.left + i, image.width, width), image.width));
  }
  Image made{window.width, window.height, {}};
  made.rgb.reserve(row_bytes(window.width) * static_cast<std::size_t>(window.height));
  std::vector<std::int32_t> row(row_bytes(window.width));
  std::vector<std::int64_t> sums(row.size());
  for (int i = 0; i < window.height; ++i) {
    const Taps<4> down = cubic_of(centred(window.top + i, image.height, height), image.height);
    std::fill(sums.begin(), sums.end(), std::int64_t{1} << (2 * kBits - 1));
    for (std::size_t tap = 0; tap < 4; ++tap) {
      along_row(row_of(image, down.places[tap]), across, row);
      for (std::size_t k = 0; k < row.size(); ++k) sums[k] += std::int64_t{row[k]} * down.weights[tap];
    }
    for (const std::int64_t sum : sums) made.rgb.push_back(level(sum >> (2 * kBits)));
  }
  return made;
}

// Calls back with each old pixel that a new one covers, and how much of it in parts of `wanted`.
template <typename Call>
void covered(int number, int source, int wanted, const Call& call) {
  const std::int64_t begin = std::int64_t{number} * source, end = begin + source;
  for (std::int64_t x = begin / wanted; x * wanted < end; ++x) {
    call(static_cast<int>(x), std::min(end, (x + 1) * wanted) - std::max(begin, x * wanted));
  }
}

Image areas(const Image& image, int width, int height, const Window& window) {
  const std::int64_t area = std::int64_t{image.width} * image.height;
  Image made{window.width, window.height, {}};
  made.rgb.reserve(row_bytes(window.width) * static_cast<std::size_t>(window.height));
  std::vector<std::int64_t> sums(row_bytes(window.width));
  for (int i = 0; i < window.height; ++i) {
    std::fill(sums.begin(), sums.end(), 0);
    covered(window.top + i, image.height, height, [&](int y, std::int64_t high) {
      const std::uint8_t* row = row_of(image, y);
      for (int k = 0; k < window.width; ++k) {
        std::int64_t* sum = &sums[row_bytes(k)];
        covered(window.left + k, image.width, width, [&](int x, std::int64_t wide) {
          const std::uint8_t* pixel = row + row_bytes(x);
          for (std::size_t channel = 0; channel < 3; ++channel) sum[channel] += pixel[channel] * wide * high;
        });
      }
    });
    for (const std::int64_t sum : sums) made.rgb.push_back(level((2 * sum + area) / (2 * area)));
  }
  return made;
}

Image nearest(const Image& image, int width, int height, const Window& window) {
  const auto place = [](int number, int source, int wanted) {
    const double scale = 1.0 / (static_cast<double>(wanted) / source);
    return std::min(static_cast<int>(std::floor(number * scale)), source - 1);
  };
  Image made{window.width, window.height, {}};
  made.rgb.reserve(row_bytes(window.width) * static_cast<std::size_t>(window.height));
  for (int i = 0; i < window.height; ++i) {
    const std::uint8_t* row = row_of(image, place(window.top + i, image.height, height));
    for (int k = 0; k < window.width; ++k) {
      const std::uint8_t* pixel = row + row_bytes(place(window.left + k, image.width, width));
      made.rgb.insert(made.rgb.end(), pixel, pixel + 3);
    }
  }
  return made;
}

}  // namespace

Image resized_as_opencv(const Image& image, int width, int height, Interpolation interpolation, const Window& window) {
  if (width == image.width && height == image.height) return nearest(image, width, height, window);
  if (interpolation == Interpolation::nearest) return nearest(image, width, height, window);
  if (interpolation == Interpolation::bicubic) return cubic(image, width, height, window);
  if (interpolation == Interpolation::bilinear) return linear(image, width, height, window, centred);
  const bool grows = width > image.width || height > image.height;
  return grows ? linear(image, width, height, window, by_area) : areas(image, width, height, window);
}

}  // namespace edgekit
