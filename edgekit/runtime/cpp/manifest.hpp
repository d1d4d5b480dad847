// What a bundle's manifest.json says, checked. Internal.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "edgekit.hpp"
#include "files.hpp"

namespace edgekit {

struct FileFacts {
  std::string sha256;
  std::uint64_t size_bytes = 0;
};

struct Manifest {
  std::map<std::string, FileFacts> files;
  std::string runtime;    // such as openvino
  std::string plugin;     // of OpenVINO: CPU, GPU or NPU
  std::string precision;  // int8, mixed, fp16, bf16 or fp32
  Preprocessing preprocessing;
  std::vector<std::string> labels;  // none, or one a class
  std::size_t classes = 0;          // 0: not said
  int threads = 0;                  // 0: not said
  std::string activation;           // softmax, sigmoid or none
  std::string int8_sums;            // exact or 16-bit, that INT8 weights were made for; nothing: not said
  std::string task;                 // classify, multilabel or embed
};

// Throws Error: no bundle, of a newer schema, or not whole.
Manifest read_manifest(const std::string& folder);

// The same of manifest.json's content; `folder` is only told of.
Manifest manifest_in(const Bytes& text, const std::string& folder);

// The content of the files named in `wanted`, after every file of the bundle was compared with the manifest (or only
// those wanted, unless `all`). What is returned is what was hashed: nothing is read twice.
// Throws Error: missing, unknown, changed, a link, or a name that points out.
std::map<std::string, Bytes> checked_files(const std::string& folder, const Manifest& manifest,
                                           const std::vector<std::string>& wanted, bool all);

}  // namespace edgekit
