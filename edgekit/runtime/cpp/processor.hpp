// How this processor adds INT8 products up; edgekit/runtime/processor.py says why that matters. Internal.
#pragma once

#include <string>

namespace edgekit {

// "exact", "16-bit", or nothing where the processor does not tell what it can do.
std::string int8_sums_here();

// What a user should know where an INT8 bundle for OpenVINO was built for another kind of processor; nothing where none
// differs. built_for: as the manifest says it, "exact", "16-bit" or nothing.
std::string what_differs(const std::string& built_for);

}  // namespace edgekit
