// What the tests ask of the library: each line on standard input is a request, and each gets an answer.
//   resize W H INTERPOLATION INTO_W INTO_H ANTIALIAS  then W*H*3 bytes: "ok W H", then pixels
//   picture W H CONTRACT                     likewise
//   fit CONTRACT PATH                        a file as the network's input: "ok W H", then pixels
//   decode PATH                              "ok W H", then pixels
//   open PATH                                "ok COSINE 0"
//   classify PATH                            the bundle last opened: "ok TOP 0", its first class's index
// CONTRACT is INTERPOLATION WIDTH HEIGHT FRACTION RESIZE ANTIALIAS RED GREEN BLUE ACROSS DOWN EXIF.
// An error is the line that people would see.

#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "edgekit.hpp"

namespace {

using edgekit::Image;
using edgekit::Interpolation;

const std::map<std::string, Interpolation> kInterpolations{{"nearest", Interpolation::nearest},
                                                           {"bilinear", Interpolation::bilinear},
                                                           {"bicubic", Interpolation::bicubic},
                                                           {"lanczos", Interpolation::lanczos},
                                                           {"area", Interpolation::area}};
const std::map<std::string, edgekit::Resize> kResizes{{"crop", edgekit::Resize::crop},
                                                      {"squash", edgekit::Resize::squash},
                                                      {"letterbox", edgekit::Resize::letterbox},
                                                      {"pad", edgekit::Resize::pad}};

Image frame_of(std::istringstream& words) {
  Image image;
  words >> image.width >> image.height;
  image.rgb.resize(static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
  std::cin.read(reinterpret_cast<char*>(image.rgb.data()), static_cast<std::streamsize>(image.rgb.size()));
  return image;
}

edgekit::Preprocessing contract_of(std::istringstream& words) {
  edgekit::Preprocessing wanted;
  std::string interpolation, resize;
  words >> interpolation >> wanted.width >> wanted.height >> wanted.crop_fraction >> resize >> wanted.antialias;
  for (std::uint8_t& level : wanted.pad_color) {
    int number = 0;
    words >> number;
    level = static_cast<std::uint8_t>(number);
  }
  words >> wanted.pad_across >> wanted.pad_down >> wanted.exif;
  wanted.interpolation = kInterpolations.at(interpolation);
  wanted.resize = kResizes.at(resize);
  return wanted;
}

Image read_from(std::istringstream& words) {
  std::string path;
  std::getline(words >> std::ws, path);
  return edgekit::read_image(path);
}

Image made_of(const std::string& verb, std::istringstream& words) {
  if (verb == "decode") return read_from(words);
  if (verb == "fit") {
    const edgekit::Preprocessing wanted = contract_of(words);
    return edgekit::picture(read_from(words), wanted);
  }
  const Image image = frame_of(words);
  if (verb == "picture") return edgekit::picture(image, contract_of(words));
  std::string name;
  int width = 0, height = 0;
  bool antialias = true;
  words >> name >> width >> height >> antialias;
  return edgekit::resize(image, width, height, kInterpolations.at(name), antialias);
}

void answer(const std::string& line, std::optional<edgekit::Bundle>& bundle) {
  std::istringstream words(line);
  std::string verb, path;
  words >> verb;
  if (verb == "open") {
    std::getline(words >> std::ws, path);
    bundle.reset();
    bundle.emplace(edgekit::Bundle::open(path));
    std::cout << "ok " << bundle->check_golden() << " 0\n";
  } else if (verb == "classify") {
    std::getline(words >> std::ws, path);
    std::cout << "ok " << bundle.value().classify(edgekit::read_image(path)).at(0).index << " 0\n";
  } else {
    const Image made = made_of(verb, words);
    std::cout << "ok " << made.width << " " << made.height << "\n";
    std::cout.write(reinterpret_cast<const char*>(made.rgb.data()), static_cast<std::streamsize>(made.rgb.size()));
  }
}

}  // namespace

int main() {
  std::optional<edgekit::Bundle> bundle;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      answer(line, bundle);
    } catch (const edgekit::Error& error) {
      std::cout << error.line() << "\n";
    }
  }
}
