// What hostile bytes are given to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace edgekit_fuzz {

struct Target {
  const char* name;
  void (*run)(const std::uint8_t* bytes, std::size_t count);  // must return, whatever the bytes are
};

// The target of that name; ends the program where there is none.
const Target& target_named(const std::string& name);

// Gives the bytes to the target; false where it refuses them. The one exception that the library may throw is its own,
// whose line must be one.
bool give(const Target& target, const std::uint8_t* bytes, std::size_t count);

}  // namespace edgekit_fuzz
