// The program that libFuzzer drives; EDGEKIT_FUZZ_TARGET names what it gives the bytes to.

#include <zlib.h>

#include <cstdlib>
#include <cstring>

#include "targets.hpp"

namespace {

const edgekit_fuzz::Target& wanted() {
  static const char* const name = std::getenv("EDGEKIT_FUZZ_TARGET");
  static const edgekit_fuzz::Target& found = edgekit_fuzz::target_named(name == nullptr ? "" : name);
  return found;
}

std::uint32_t big_endian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

// Gives each chunk of a PNG its own checksum: with a wrong one, nothing behind the check would be reached.
void mend_checksums(std::uint8_t* bytes, std::size_t count) {
  for (std::size_t at = 8; at + 12 <= count;) {
    const std::size_t length = big_endian(bytes + at);
    if (length > count - at - 12) return;
    const auto sum = static_cast<std::uint32_t>(crc32(0, bytes + at + 4, static_cast<uInt>(length + 4)));
    for (int i = 0; i < 4; ++i)
      bytes[at + 8 + length + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* bytes, std::size_t count, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t count, std::size_t most,
                                               unsigned int seed) {
  const std::size_t made = LLVMFuzzerMutate(bytes, count, most);
  if (std::strcmp(wanted().name, "png") == 0 && seed % 8 != 0) mend_checksums(bytes, made);
  return made;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  edgekit_fuzz::give(wanted(), bytes, count);
  return 0;
}
