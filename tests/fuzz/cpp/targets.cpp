#include "targets.hpp"

#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "decode.hpp"
#include "edgekit.hpp"
#include "exif.hpp"
#include "files.hpp"
#include "golden.hpp"
#include "manifest.hpp"

namespace edgekit_fuzz {

namespace {

using edgekit::Bytes;

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void check(const edgekit::Image& image) {
  must(image.width >= 1 && image.height >= 1, "an image has pixels");
  must(image.rgb.size() == static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3,
       "as many as its sides say");
  must(image.orientation >= 1 && image.orientation <= 8, "an orientation is 1 to 8");
}

// JPEG and PNG as an application reads them, up to the network's input.
void image(const std::uint8_t* bytes, std::size_t count) {
  const edgekit::Image decoded = edgekit::decode(bytes, count, {std::size_t{1} << 20, std::size_t{1} << 18});
  check(decoded);
  edgekit::Preprocessing wanted;
  wanted.width = 9;
  wanted.height = 7;
  wanted.exif = true;
  check(edgekit::picture(decoded, wanted));
}

void exif(const std::uint8_t* bytes, std::size_t count) {
  const Bytes content(bytes, bytes + count);
  bool told = false;
  const int by_exif = edgekit::orientation_of_exif(content, &told), by_xmp = edgekit::orientation_of_xmp(content);
  must(std::min(by_exif, by_xmp) >= 1 && std::max(by_exif, by_xmp) <= 8, "an orientation is 1 to 8");
}

// A folder with a file that manifests may name; removed at the end.
class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "edgekit-fuzz-XXXXXX").string()) {
    must(mkdtemp(path_.data()) != nullptr, "there is room for temporary files");
    std::ofstream(path_ + "/a") << "abc";
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A manifest, the files that it names, and the input that it says the network has.
void manifest(const std::uint8_t* bytes, std::size_t count) {
  static const Folder folder;
  const edgekit::Manifest told = edgekit::manifest_in(Bytes(bytes, bytes + count), "it");
  for (const auto& each : told.files) {
    must(each.first.find('/') == std::string::npos && each.first[0] != '.', "names stay in the bundle");
  }
  must(told.labels.empty() || told.labels.size() == told.classes, "each class has a label");
  if (std::max(told.preprocessing.width, told.preprocessing.height) <= 64) {
    check(edgekit::picture({2, 1, {1, 2, 3, 4, 5, 6}, 6}, told.preprocessing));
  }
  edgekit::checked_files(folder.path(), told, {"a"}, true);
}

void check(const edgekit::Golden& golden, std::size_t pixels) {
  must(golden.images >= 1 && golden.classes >= 1, "there are golden images and classes");
  must(golden.inputs.size() == golden.images * pixels * 3, "as many inputs as they say");
  must(golden.logits.size() == golden.images * golden.classes, "as many outputs as they say");
}

void golden(const std::uint8_t* bytes, std::size_t count) {
  check(edgekit::read_golden(Bytes(bytes, bytes + count), 4, 3), 12);
}

// An archive of two arrays, since a fuzzer does not find the checksums of one.
Bytes archive_of(const Bytes& inputs, const Bytes& logits) {
  zip_source_t* into = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  zip_t* archive = zip_open_from_source(into, ZIP_TRUNCATE, nullptr);
  must(archive != nullptr, "an archive can be made");
  zip_source_keep(into);
  zip_file_add(archive, "inputs.npy", zip_source_buffer(archive, inputs.data(), inputs.size(), 0), 0);
  zip_file_add(archive, "logits.npy", zip_source_buffer(archive, logits.data(), logits.size(), 0), 0);
  for (zip_uint64_t i = 0; i < 2; ++i) zip_set_file_compression(archive, i, ZIP_CM_STORE, 0);
  must(zip_close(archive) == 0 && zip_source_open(into) == 0, "an archive can be written");
  zip_source_seek(into, 0, SEEK_END);
  Bytes made(static_cast<std::size_t>(zip_source_tell(into)));
  zip_source_seek(into, 0, SEEK_SET);
  must(zip_source_read(into, made.data(), made.size()) == static_cast<zip_int64_t>(made.size()), "and read");
  zip_source_close(into);
  zip_source_free(into);
  return made;
}

// The first two bytes say where the first array ends.
void arrays(const std::uint8_t* bytes, std::size_t count) {
  if (count < 2) return;
  const std::size_t end = std::min<std::size_t>(2 + bytes[0] + bytes[1] * 256U, count);
  check(edgekit::read_golden(archive_of(Bytes(bytes + 2, bytes + end), Bytes(bytes + end, bytes + count)), 4, 3), 12);
}

// Numbers out of the bytes; 0 where they are over.
class Numbers {
 public:
  Numbers(const std::uint8_t* bytes, std::size_t count) : next_(bytes), left_(count) {}

  template <typename Number>
  Number next() {
    Number made{};
    const std::size_t count = std::min(sizeof made, left_);
    if (count > 0) std::memcpy(&made, next_, count);
    next_ += count;
    left_ -= count;
    return made;
  }

 private:
  const std::uint8_t* next_;
  std::size_t left_;
};

// An image that an application made, its sides and pixels perhaps untrue, and a contract that may make no sense.
void picture(const std::uint8_t* bytes, std::size_t count) {
  Numbers numbers(bytes, count);
  edgekit::Preprocessing wanted;
  wanted.interpolation = static_cast<edgekit::Interpolation>(numbers.next<std::uint8_t>() % 5);
  wanted.resize = static_cast<edgekit::Resize>(numbers.next<std::uint8_t>() % 4);
  const auto flags = numbers.next<std::uint8_t>();
  wanted.antialias = (flags & 1) != 0;
  wanted.exif = (flags & 2) != 0;
  wanted.pad_across = numbers.next<std::int8_t>() % 4;
  wanted.pad_down = numbers.next<std::int8_t>() % 4;
  wanted.width = numbers.next<std::int16_t>() % 64;
  wanted.height = numbers.next<std::int16_t>() % 64;
  if ((flags & 4) != 0) wanted.crop_fraction = numbers.next<double>();
  edgekit::Image made;
  made.orientation = numbers.next<std::int8_t>();
  made.width = numbers.next<std::int32_t>() % (1 << 12);
  made.height = numbers.next<std::int32_t>() % (1 << 12);
  std::size_t pixels = std::min(std::size_t{1} << 14, static_cast<std::size_t>(std::max(made.width, 0)) *
                                                          static_cast<std::size_t>(std::max(made.height, 0)));
  if ((flags & 8) != 0) pixels = numbers.next<std::uint16_t>();
  made.rgb.resize(pixels * 3);
  for (std::size_t i = 0; i < made.rgb.size(); ++i) made.rgb[i] = (i * 2654435761U >> 7) % 3 == 0 ? 255 : 0;
  if ((flags & 16) != 0) {
    check(edgekit::resize(made, wanted.width, wanted.height, wanted.interpolation, wanted.antialias));
    return;
  }
  const edgekit::Image fitted = edgekit::picture(made, wanted);
  check(fitted);
  must(fitted.width == wanted.width && fitted.height == wanted.height, "the input has the contract's size");
}

const Target kTargets[] = {{"jpeg", image},    {"png", image},     {"exif", exif},      {"manifest", manifest},
                           {"golden", golden}, {"arrays", arrays}, {"picture", picture}};

}  // namespace

const Target& target_named(const std::string& name) {
  for (const Target& each : kTargets) {
    if (name == each.name) return each;
  }
  std::fprintf(stderr, "there is no target %s\n", name.c_str());
  std::exit(2);
}

bool give(const Target& target, const std::uint8_t* bytes, std::size_t count) {
  try {
    target.run(bytes, count);
    return true;
  } catch (const edgekit::Error& error) {
    const std::string line = error.line();
    must(std::none_of(line.begin(), line.end(), [](unsigned char each) { return each < 0x20 || each == 0x7f; }),
         "an error is one line");
    return false;
  }
}

}  // namespace edgekit_fuzz
