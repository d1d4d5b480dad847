// Reading files whole, and making sure that they are the ones meant. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "edgekit.hpp"

namespace edgekit {

using Bytes = std::vector<std::uint8_t>;

enum class Links { follow, refuse };

[[noreturn]] void refuse(const std::string& what, const std::string& hint);  // throws Error of bad input

// Text of one line that can move no terminal's cursor, as names of files and labels could: `?` stands for what is not
// shown, and for bytes that are no UTF-8.
std::string printable(const std::string& text);

// What `call` gives. Throws Error in place of std::bad_alloc, so that applications have one exception to catch.
template <typename Call>
auto within_memory(const Call& call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    throw Error(Error::Kind::cannot_run, "there is not enough memory", "Give smaller images, or free some.");
  }
}

// A regular file's content. Throws Error: not there, not a regular file, over `limit_bytes`, or a refused link.
Bytes read_file(const std::string& path, std::size_t limit_bytes, Links links);

// Its size. Throws Error as read_file does.
std::size_t size_of_file(const std::string& path, Links links);

struct Digest {
  std::string sha256;  // lower-case hexadecimal digits
  std::size_t size_bytes = 0;
};

Digest digest_of(const Bytes& content);

// The same of a file, in pieces, so that memory does not grow with it. Throws Error as read_file does.
Digest digest_of_file(const std::string& path, Links links);

}  // namespace edgekit
