#include <openvino/openvino.hpp>
#include <sstream>
#include <thread>
#include <utility>

#include "engine.hpp"
#include "processor.hpp"

namespace edgekit {

namespace {

// What an error of OpenVINO's says, without the places in its sources that it begins with.
std::string said(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.rfind("Exception from", 0) != 0 && line.rfind("Check '", 0) != 0) return line;
  }
  return text.substr(0, text.find('\n'));
}

// How one of OpenVINO's plugins is asked; see edgekit/runtime/openvino_plugins.py. GPU and NPU have not yet been run on
// hardware.
struct Plugin {
  const char* words;
  std::map<std::string, ov::element::Type> hints;  // precision of a bundle: what is computed in; dynamic: no hint
};

const Plugin& plugin_named(const std::string& name) {
  using ov::element::bf16, ov::element::f16, ov::element::f32, ov::element::dynamic;
  static const std::map<std::string, Plugin> kPlugins{
      // OpenVINO computes in BF16 where it can, unless told otherwise: a bundle computes as it was measured.
      {"CPU", {"the processor", {{"fp32", f32}, {"fp16", f32}, {"int8", f32}, {"bf16", bf16}, {"mixed", bf16}}}},
      {"GPU", {"an Intel GPU", {{"fp32", f32}, {"fp16", f16}, {"int8", f16}, {"mixed", f16}}}},
      {"NPU", {"an Intel NPU", {{"fp16", dynamic}, {"int8", dynamic}, {"mixed", dynamic}}}}};
  return kPlugins.at(name);
}

// The plugin that a bundle runs with here: its own, or the processor's where OpenVINO sees no such device, which is
// said.
std::string plugin_here(ov::Core& core, const std::string& own, const Warn& warn) {
  std::string seen;
  for (const std::string& each : core.get_available_devices()) {
    if (each.substr(0, each.find('.')) == own) return own;
    seen += (seen.empty() ? "" : ", ") + each;
  }
  warn(std::string("the bundle was built and measured for ") + plugin_named(own).words +
       ", and runs on the processor: OpenVINO sees no " + own + " here, only " + seen);
  return "CPU";
}

class OpenVino : public Engine {
 public:
  OpenVino(Bytes weights, const std::string& graph, const Manifest& manifest, int threads, const Warn& warn)
      : weights_(std::move(weights)) {
    const std::string plugin = manifest.plugin == "CPU" ? "CPU" : plugin_here(core_, manifest.plugin, warn);
    const std::string differs = plugin == "CPU" ? what_differs(manifest.int8_sums) : "";
    if (!differs.empty()) warn(differs);
    const auto hint = plugin_named(plugin).hints.find(manifest.precision);
    if (hint == plugin_named(plugin).hints.end()) {
      refuse("OpenVINO's " + plugin + " computes no " + manifest.precision, "Build the bundle again.");
    }
    ov::AnyMap settings{ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY)};
    if (hint->second != ov::element::dynamic) settings.insert(ov::hint::inference_precision(hint->second));
    if (threads > 0 && plugin == "CPU") settings.insert(ov::inference_num_threads(threads));
    // From memory: what is loaded is what was hashed.
    const ov::Tensor weights_view(ov::element::u8, {weights_.size()}, weights_.data());
    ov::CompiledModel compiled = core_.compile_model(graph, weights_view, plugin, settings);
    const Preprocessing& wanted = manifest.preprocessing;
    shape_ = {1, static_cast<std::size_t>(wanted.height), static_cast<std::size_t>(wanted.width), 3};
    if (compiled.inputs().size() != 1 || compiled.outputs().size() != 1 ||
        compiled.input().get_element_type() != ov::element::u8 || compiled.input().get_partial_shape() != shape_ ||
        compiled.output().get_element_type() != ov::element::f32) {
      refuse("model.xml is not a network from uint8 pixels of the manifest's size to float32 logits",
             "Build the bundle again.");
    }
    request_ = compiled.create_infer_request();
  }

  std::vector<float> infer(const std::uint8_t* pixels) override {
    try {
      std::copy_n(pixels, ov::shape_size(shape_), request_.get_input_tensor().data<std::uint8_t>());
      if (is_shared()) {
        request_.start_async();
        request_.wait();
      } else {
        request_.infer();
      }
      const ov::Tensor made = request_.get_output_tensor();
      return std::vector<float>(made.data<float>(), made.data<float>() + made.get_size());
    } catch (const std::exception& error) {
      throw Error(Error::Kind::cannot_run, "OpenVINO cannot run the network: " + said(error.what()),
                  "Build the bundle again on this kind of machine.");
    }
  }

 private:
  // Where several threads call, the request runs on OpenVINO's own thread. On theirs, each with a oneTBB arena, tasks
  // whose workers come late are never freed: some 600 bytes a call where there are more threads to run than cores
  // (github.com/uxlfoundation/oneTBB/issues/1403).
  bool is_shared() {
    const std::thread::id me = std::this_thread::get_id();
    if (caller_ == std::thread::id()) caller_ = me;
    callers_differ_ = callers_differ_ || caller_ != me;
    return callers_differ_;
  }

  Bytes weights_;  // constants of the compiled network may still lie in it
  ov::Core core_;
  ov::Shape shape_;
  ov::InferRequest request_;
  std::thread::id caller_;  // calls come one at a time
  bool callers_differ_ = false;
};

}  // namespace

std::unique_ptr<Engine> load_openvino(std::map<std::string, Bytes> files, const Manifest& manifest, int threads,
                                      const Warn& warn) {
  const Bytes& graph = files.at("model.xml");
  try {
    return std::make_unique<OpenVino>(std::move(files.at("model.bin")), std::string(graph.begin(), graph.end()),
                                      manifest, threads, warn);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    refuse("OpenVINO cannot load model.xml: " + said(error.what()), "Build the bundle again for this OpenVINO.");
  }
}

}  // namespace edgekit
