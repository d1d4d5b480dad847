// A network on an inference runtime: pixels in, logits out. Internal; a runtime is one file that makes an Engine.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace edgekit {

class Engine {
 public:
  virtual ~Engine() = default;
  // uint8 height x width x 3 RGB to logits. Not for several threads at once. Throws Error: the runtime failed.
  virtual std::vector<float> infer(const std::uint8_t* pixels) = 0;
};

using Warn = std::function<void(const std::string&)>;

struct Runtime {
  std::vector<std::string> files;  // of the bundle that it loads
  std::unique_ptr<Engine> (*load)(std::map<std::string, Bytes> files, const Manifest& manifest, int threads,
                                  const Warn& warn);
};

// Throws Error (cannot_run): this library was not built with it.
const Runtime& runtime_of(const std::string& name);

// engine_openvino.cpp. Throws Error: OpenVINO cannot load the model, or it is not uint8 pixels to float32 logits.
std::unique_ptr<Engine> load_openvino(std::map<std::string, Bytes> files, const Manifest& manifest, int threads,
                                      const Warn& warn);

}  // namespace edgekit
