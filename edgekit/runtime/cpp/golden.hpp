// The inputs and outputs kept in a bundle's golden.npz. Internal.
#pragma once

#include <cstddef>
#include <vector>

#include "files.hpp"

namespace edgekit {

struct Golden {
  std::size_t images = 0;
  std::size_t classes = 0;
  Bytes inputs;               // uint8 images x height x width x 3
  std::vector<float> logits;  // images x classes
};

// Reads the archive that numpy wrote, for an input of that height and width. Throws Error: damaged, or of other types
// and shapes than these.
Golden read_golden(const Bytes& archive, int height, int width);

}  // namespace edgekit
