// How an image comes to lie in the network's input, as edgekit/runtime/geometry.py defines it, and turning images.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "files.hpp"
#include "resize.hpp"

namespace edgekit {

namespace {

constexpr int kMaxInput = 1 << 14;

struct Plan {
  double width, height;  // that the image is resized to
  Window shown;          // the part of it that is shown
  int x, y;              // where that part lies in the input
};

int whole(double value) {
  return static_cast<int>(std::nearbyint(value));
}  // a half to the even one, as Python's round

double covered(int side, double crop_fraction) {
  return std::max(static_cast<double>(side), std::nearbyint(side / crop_fraction));
}

Plan middle(const Image& image, double width, double height, const Preprocessing& wanted) {
  check_sides(image, width, height);
  const Window shown{whole((width - wanted.width) / 2), whole((height - wanted.height) / 2), wanted.width,
                     wanted.height};
  return {width, height, shown, 0, 0};
}

Plan inside(const Image& image, const Preprocessing& wanted) {
  const double scale =
      std::min(static_cast<double>(wanted.height) / image.height, static_cast<double>(wanted.width) / image.width);
  const int width = std::min(wanted.width, std::max(1, whole(image.width * scale)));
  const int height = std::min(wanted.height, std::max(1, whole(image.height * scale)));
  const bool letterbox = wanted.resize == Resize::letterbox;
  const int across = letterbox ? 1 : wanted.pad_across, down = letterbox ? 1 : wanted.pad_down;
  return {static_cast<double>(width),
          static_cast<double>(height),
          {0, 0, width, height},
          (wanted.width - width) * across / 2,
          (wanted.height - height) * down / 2};
}

Plan plan_of(const Image& image, const Preprocessing& wanted) {
  if (wanted.resize == Resize::letterbox || wanted.resize == Resize::pad) return inside(image, wanted);
  const double high = covered(wanted.height, wanted.crop_fraction), wide = covered(wanted.width, wanted.crop_fraction);
  if (wanted.resize == Resize::squash) return middle(image, wide, high, wanted);
  const double scale = std::max(high / image.height, wide / image.width);
  return middle(image, std::max<double>(wanted.width, std::nearbyint(image.width * scale)),
                std::max<double>(wanted.height, std::nearbyint(image.height * scale)), wanted);
}

Image padded(Image part, const Plan& plan, const Preprocessing& wanted) {
  if (part.width == wanted.width && part.height == wanted.height) return part;
  Image made{wanted.width, wanted.height, {}};
  const std::size_t stride = row_bytes(made.width);
  made.rgb.reserve(stride * static_cast<std::size_t>(made.height));
  while (made.rgb.size() < stride * static_cast<std::size_t>(made.height)) {
    made.rgb.insert(made.rgb.end(), wanted.pad_color.begin(), wanted.pad_color.end());
  }
  for (int row = 0; row < part.height; ++row) {
    std::memcpy(made.rgb.data() + static_cast<std::size_t>(plan.y + row) * stride + row_bytes(plan.x),
                part.rgb.data() + static_cast<std::size_t>(row) * row_bytes(part.width), row_bytes(part.width));
  }
  return made;
}

// Contracts of manifests were checked; an application may make its own.
void check_contract(const Preprocessing& wanted) {
  const bool sides = std::min(wanted.width, wanted.height) >= 1 && std::max(wanted.width, wanted.height) <= kMaxInput;
  const bool fraction = wanted.crop_fraction >= 0.01 && wanted.crop_fraction <= 1.0;
  const bool padding =
      std::min(wanted.pad_across, wanted.pad_down) >= 0 && std::max(wanted.pad_across, wanted.pad_down) <= 2;
  if (sides && fraction && padding) return;
  refuse("a Preprocessing makes no sense: its width and height are 1 to " + std::to_string(kMaxInput) +
             ", crop_fraction is 0.01 to 1, pad_across and pad_down are 0 to 2",
         "Take that of a bundle.");
}

Image fitted(const Image& image, const Preprocessing& wanted) {
  const Plan plan = plan_of(image, wanted);
  return padded(resized(image, plan.width, plan.height, wanted.interpolation, wanted.antialias, plan.shown), plan,
                wanted);
}

}  // namespace

Image upright(const Image& image) {
  const int turn = image.orientation;
  if (turn < 2 || turn > 8) return image;
  const bool across = turn >= 5;  // rows become columns
  Image made{across ? image.height : image.width, across ? image.width : image.height, {}};
  made.rgb.resize(image.rgb.size());
  std::uint8_t* into = made.rgb.data();
  for (int y = 0; y < made.height; ++y) {
    for (int x = 0; x < made.width; ++x, into += 3) {
      const int u = across ? y : x, v = across ? x : y;
      const bool flip_u = turn == 2 || turn == 3 || turn == 7 || turn == 8;
      const bool flip_v = turn == 3 || turn == 4 || turn == 6 || turn == 7;
      const int column = flip_u ? image.width - 1 - u : u, row = flip_v ? image.height - 1 - v : v;
      std::memcpy(into, image.rgb.data() + static_cast<std::size_t>(row) * row_bytes(image.width) + row_bytes(column),
                  3);
    }
  }
  return made;
}

Image picture(const Image& image, const Preprocessing& preprocessing) {
  check_image(image);
  check_contract(preprocessing);
  return within_memory([&] {
    if (!preprocessing.exif || image.orientation < 2) return fitted(image, preprocessing);
    return fitted(upright(image), preprocessing);
  });
}

}  // namespace edgekit
