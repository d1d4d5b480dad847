#include "golden.hpp"

#include <zip.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace edgekit {

namespace {

constexpr std::size_t kMaxArrayBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxHeaderBytes = 512;

[[noreturn]] void damaged(const std::string& why) {
  refuse("golden.npz is not what a build writes: " + why, "Copy the bundle again, or build it again.");
}

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, Discard>;
using Member = std::unique_ptr<zip_file_t, Discard>;

Archive open_archive(const Bytes& content) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(content.data(), content.size(), 0, &error);
  zip_t* opened = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  if (opened == nullptr && source != nullptr) zip_source_free(source);
  zip_error_fini(&error);
  if (opened == nullptr) damaged("no zip archive");
  return Archive(opened);
}

Bytes read_member(zip_t* archive, const char* name) {
  zip_stat_t facts;
  zip_stat_init(&facts);
  if (zip_stat(archive, name, 0, &facts) != 0 || (facts.valid & ZIP_STAT_SIZE) == 0) {
    damaged(std::string("no ") + name);
  }
  if (facts.size > kMaxArrayBytes) damaged(std::string(name) + " is too large");
  Member member(zip_fopen(archive, name, 0));
  if (!member) damaged(std::string("cannot unpack ") + name);
  Bytes content(facts.size);
  const zip_int64_t got = zip_fread(member.get(), content.data(), content.size());
  char more = 0;  // reading on to the end is also what makes libzip compare the checksum
  if (got < 0 || static_cast<std::size_t>(got) != content.size() || zip_fread(member.get(), &more, 1) != 0) {
    damaged(std::string("cannot unpack ") + name);
  }
  return content;
}

// The dictionary in front of an array's bytes, which numpy always writes in the same words.
class Header {
 public:
  explicit Header(std::string text) : text_(std::move(text)) {}

  bool take(const std::string& words) {
    if (text_.compare(at_, words.size(), words) != 0) return false;
    at_ += words.size();
    return true;
  }

  // Up to nine digits, so that the number fits.
  bool take_number(std::size_t* number) {
    const std::size_t end = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
    if (end == at_ || end - at_ > 9) return false;
    *number = std::stoul(text_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  // Nothing but the padding that ends it.
  bool over() const { return text_.find_first_not_of(' ', at_) == text_.size() - 1 && text_.back() == '\n'; }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

std::vector<std::size_t> shape_of(const std::string& text, const std::string& type, std::size_t dimensions) {
  Header header(text);
  if (!header.take("{'descr': '" + type + "', 'fortran_order': False, 'shape': (")) damaged("an array is not " + type);
  std::vector<std::size_t> shape(dimensions);
  for (std::size_t i = 0; i < dimensions; ++i) {
    if ((i > 0 && !header.take(", ")) || !header.take_number(&shape[i])) damaged("an array has other dimensions");
  }
  if (!header.take("), }") || !header.over()) damaged("an array has other dimensions");
  return shape;
}

struct Array {
  std::vector<std::size_t> shape;
  const std::uint8_t* data;
};

// An array of `type` (numpy's word) and `dimensions`, C order, that fills the rest of the file exactly.
Array array_of(const Bytes& npy, const std::string& type, std::size_t item_bytes, std::size_t dimensions) {
  constexpr std::size_t kPrefix = 10;
  if (npy.size() < kPrefix || std::memcmp(npy.data(), "\x93NUMPY\x01\x00", 8) != 0) damaged("no array of format 1.0");
  const std::size_t header = npy[8] + (std::size_t{npy[9]} << 8);
  if (header == 0 || header > kMaxHeaderBytes || header > npy.size() - kPrefix) damaged("an array has no header");
  const std::string text(npy.begin() + kPrefix, npy.begin() + static_cast<std::ptrdiff_t>(kPrefix + header));
  const Array array{shape_of(text, type, dimensions), npy.data() + kPrefix + header};
  const std::size_t bytes = npy.size() - kPrefix - header;
  std::size_t items = 1;
  for (const std::size_t side : array.shape) {
    if (side == 0 || side > bytes / items) damaged("an array has another length than its shape says");
    items *= side;
  }
  if (items * item_bytes != bytes) damaged("an array has another length than its shape says");
  return array;
}

}  // namespace

Golden read_golden(const Bytes& archive, int height, int width) {
  const Archive opened = open_archive(archive);
  const Bytes inputs_file = read_member(opened.get(), "inputs.npy");
  const Bytes logits_file = read_member(opened.get(), "logits.npy");
  const Array inputs = array_of(inputs_file, "|u1", 1, 4);
  const Array logits = array_of(logits_file, "<f4", sizeof(float), 2);
  const auto rows = static_cast<std::size_t>(height), columns = static_cast<std::size_t>(width);
  const std::vector<std::size_t> wanted{logits.shape[0], rows, columns, 3};
  if (inputs.shape != wanted) damaged("its inputs do not fit the bundle's size or its outputs");
  Golden golden{logits.shape[0], logits.shape[1], {}, {}};
  golden.inputs.assign(inputs.data, inputs.data + golden.images * rows * columns * 3);
  golden.logits.resize(golden.images * golden.classes);
  std::memcpy(golden.logits.data(), logits.data, golden.logits.size() * sizeof(float));  // "<f4": little-endian only
  if (!std::all_of(golden.logits.begin(), golden.logits.end(), [](float each) { return std::isfinite(each); })) {
    damaged("its outputs are not finite");
  }
  return golden;
}

}  // namespace edgekit
