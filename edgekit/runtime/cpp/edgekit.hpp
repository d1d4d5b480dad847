// Opens a bundle that edgekit built, checks it, and classifies images with it; C++17. See docs/cpp.md.
//
//   edgekit::Bundle bundle = edgekit::Bundle::open("build/inception_v4-cpu");
//   for (const edgekit::Ranked& each : bundle.classify(edgekit::read_image("photo.jpg"))) { ... }
//
// Pictures become the same pixels, and classes the same answers, as in edgekit's Python runtime.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace edgekit {

// The one exception of this library: what is wrong (what()) and what to do about it (hint()).
class Error : public std::runtime_error {
 public:
  enum class Kind {
    bad_input,   // a bundle or an image that is missing, damaged, or not what it says
    cannot_run,  // this machine, or this build of the library, cannot run the bundle
  };

  Error(Kind kind, const std::string& what, std::string hint);

  const std::string& hint() const noexcept { return hint_; }
  Kind kind() const noexcept { return kind_; }
  // What edgekit's commands exit with: 2 for bad input, 4 for what cannot run here.
  int exit_code() const noexcept { return kind_ == Kind::bad_input ? 2 : 4; }
  // The failure as one line: "edgekit: error: WHAT. HINT".
  std::string line() const;

 private:
  Kind kind_;
  std::string hint_;
};

// An image: `rgb` is uint8, height x width x 3, row by row; `orientation` is what EXIF says of how the camera was held,
// 1 (upright) to 8, which `picture` applies where a bundle says so.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
  int orientation = 1;
};

// What an image may cost; looked at before its pixels are decoded.
struct Limits {
  std::size_t file_bytes = std::size_t{128} << 20;
  std::size_t pixels = 89478485;  // where Pillow starts to warn of decompression bombs
};

// Decodes JPEG (8-bit grey, colour, CMYK) or PNG to RGB; alpha is dropped, 16 bits become 8.
// Throws Error: neither of them, damaged or cut short, over the limits, or not enough memory.
Image decode(const std::uint8_t* bytes, std::size_t count, const Limits& limits = {});

// Reads the file and decodes it. Throws Error as decode does, and when it cannot be read.
Image read_image(const std::string& path, const Limits& limits = {});

enum class Interpolation { nearest, bilinear, bicubic, lanczos, area };

// How an image comes to the input's size: its centre cropped, all of it squashed, or all of it inside, padded: in the
// middle, or where pad_across and pad_down say.
enum class Resize { crop, squash, letterbox, pad };

// What is done to an image before the network sees it; mean, deviation and channel order are inside the network.
struct Preprocessing {
  int width = 0, height = 0;   // of the input, pixels
  double crop_fraction = 1.0;  // part of what is covered that the centre crop keeps, 0.01 to 1
  Interpolation interpolation = Interpolation::bicubic;
  Resize resize = Resize::crop;
  bool antialias = true;                    // as Pillow resizes, not as OpenCV does
  std::array<std::uint8_t, 3> pad_color{};  // RGB
  int pad_across = 0, pad_down = 0;         // halves of the free width left of the image, of the free height above
  bool exif = false;                        // whether the image is turned as its orientation says
};

// Resizes to width x height, to the pixels that Pillow makes of it, first the width, then the height; or, without
// antialias and for areas, OpenCV's. Throws Error: an empty image, pixels that are not height x width x 3, a side over
// 2^24 pixels, an image so long and narrow that it has more than 89478485 pixels between the two, or Lanczos without
// antialias.
Image resize(const Image& image, int width, int height, Interpolation interpolation, bool antialias = true);

// The image as the network's input, width x height; see edgekit/runtime/geometry.py for the rules.
// Throws Error as resize does, and where the contract makes no sense.
Image picture(const Image& image, const Preprocessing& preprocessing);

// A class with its probability, or its bare output where the bundle says that it is none; `label` is its name, or its
// index in digits where the bundle has no names.
struct Ranked {
  int index = 0;
  std::string label;
  double probability = 0.0;
};

struct Options {
  int threads = 0;              // processor threads; 0: what the bundle says, or all
  bool check_integrity = true;  // every file's size and SHA-256, no unknown files; off only for a bundle just checked
  bool check_golden = true;     // the outputs kept in the bundle against those of this machine
  // Told in a line that a bundle runs on another device, or another kind of processor, than it was built for; by
  // default standard error is.
  std::function<void(const std::string&)> warn;
};

// An opened bundle. May be moved, not copied. classify and logits may be called from several threads: they take turns,
// since one call uses all of the processor's threads.
class Bundle {
 public:
  // Opens the bundle in directory `path`. One for a GPU or an NPU of OpenVINO's runs on the processor where there is
  // none, which Options::warn is told.
  // Throws Error: missing, damaged, of a newer schema, or its outputs are not the golden ones (bad_input);
  // built for a runtime that is not here (cannot_run).
  static Bundle open(const std::string& path, const Options& options = {});

  Bundle(Bundle&&) noexcept;
  Bundle& operator=(Bundle&&) noexcept;
  ~Bundle();

  const std::vector<std::string>& labels() const;
  const Preprocessing& preprocessing() const;

  // Outputs for a picture of the input's width and height. Throws Error: another size, or they are no numbers.
  std::vector<float> logits(const Image& picture) const;

  // The `top` classes of an image of any size, best first. Throws Error: the bundle gives vectors, not classes.
  std::vector<Ranked> classify(const Image& image, std::size_t top = 5) const;

  // The golden inputs' least cosine similarity to the kept outputs. Throws Error: an answer
  // is another, or a probability moved by more than ten points (vectors: the cosine is below 0.99).
  double check_golden() const;

 private:
  struct State;
  explicit Bundle(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace edgekit
