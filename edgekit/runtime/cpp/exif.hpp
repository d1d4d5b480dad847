// What images say of how a camera was held. Internal.
#pragma once

#include "files.hpp"

namespace edgekit {

// The orientation, 1 to 8, in a TIFF block as EXIF has it; 1, and *told false, where it says nothing.
int orientation_of_exif(const Bytes& tiff, bool* told);

// The same of an XMP packet.
int orientation_of_xmp(const Bytes& xmp);

}  // namespace edgekit
