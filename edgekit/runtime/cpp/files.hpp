// Reading files whole, and making sure that they are the ones meant. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "edgekit.hpp"

namespace edgekit {

using Bytes = std::vector<std::uint8_t>;

enum class Links { follow, refuse };

[[noreturn]] void refuse(const std::string& what, const std::string& hint);  // throws Error of bad input

// A regular file's content. Throws Error: not there, not a regular file, over `limit_bytes`, or a refused link.
Bytes read_file(const std::string& path, std::size_t limit_bytes, Links links);

struct Digest {
  std::string sha256;  // lower-case hexadecimal digits
  std::size_t size_bytes = 0;
};

Digest digest_of(const Bytes& content);

// The same of a file, in pieces, so that memory does not grow with it. Throws Error as read_file does.
Digest digest_of_file(const std::string& path, Links links);

}  // namespace edgekit
