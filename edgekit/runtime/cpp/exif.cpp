// The orientation that EXIF or XMP data tell, as Pillow reads it.

#include "exif.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace edgekit {

namespace {

constexpr std::uint32_t kOrientation = 0x0112, kShort = 3, kLong = 4;
constexpr std::size_t kEntry = 12;

// Numbers of a TIFF block, in its own order of bytes; 0 beyond its end.
class Block {
 public:
  explicit Block(const Bytes& bytes) : bytes_(bytes), big_(bytes.size() > 1 && bytes[0] == 'M') {}

  bool has(std::size_t at, std::size_t count) const { return at <= bytes_.size() && count <= bytes_.size() - at; }

  std::uint32_t number(std::size_t at, std::size_t count) const {
    std::uint32_t value = 0;
    if (!has(at, count)) return 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes_[at + (big_ ? i : count - 1 - i)];
    return value;
  }

 private:
  const Bytes& bytes_;
  bool big_;
};

bool is_orientation(std::uint32_t value) { return value >= 1 && value <= 8; }

}  // namespace

int orientation_of_exif(const Bytes& tiff, bool* told) {
  *told = false;
  if (tiff.size() < 8 || !((tiff[0] == 'I' && tiff[1] == 'I') || (tiff[0] == 'M' && tiff[1] == 'M'))) return 1;
  const Block block(tiff);
  if (block.number(2, 2) != 42) return 1;
  const std::size_t first = block.number(4, 4);
  if (!block.has(first, 2)) return 1;
  const std::uint32_t count = block.number(first, 2);
  std::uint32_t found = 1;
  for (std::uint32_t i = 0; i < count && block.has(first + 2 + i * kEntry, kEntry); ++i) {
    const std::size_t entry = first + 2 + i * kEntry;
    const std::uint32_t type = block.number(entry + 2, 2);
    if (block.number(entry, 2) != kOrientation || block.number(entry + 4, 4) != 1) continue;
    if (type != kShort && type != kLong) continue;
    *told = true;
    found = block.number(entry + 8, type == kShort ? 2 : 4);
  }
  return is_orientation(found) ? static_cast<int>(found) : 1;
}

int orientation_of_xmp(const Bytes& xmp) {
  const std::string text(xmp.begin(), xmp.end()), tag = "tiff:Orientation";
  for (std::size_t at = text.find(tag); at != std::string::npos; at = text.find(tag, at + 1)) {
    std::size_t value = at + tag.size();
    if (text.compare(value, 2, "=\"") == 0) {
      value += 2;
    } else if (text.compare(value, 1, ">") == 0) {
      value += 1;
    } else {
      continue;
    }
    if (value >= text.size() || text[value] < '0' || text[value] > '9') continue;
    const auto number = static_cast<std::uint32_t>(text[value] - '0');
    return is_orientation(number) ? static_cast<int>(number) : 1;
  }
  return 1;
}

}  // namespace edgekit
