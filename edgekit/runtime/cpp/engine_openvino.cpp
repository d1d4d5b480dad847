#include <openvino/openvino.hpp>
#include <utility>

#include "engine.hpp"

namespace edgekit {

namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

bool wants_bf16(const std::string& precision) { return precision == "bf16" || precision == "mixed"; }

class OpenVino : public Engine {
 public:
  OpenVino(Bytes weights, const std::string& graph, const Manifest& manifest, int threads)
      : weights_(std::move(weights)) {
    // OpenVINO computes in BF16 where it can, unless told otherwise: a bundle computes as it was measured.
    ov::AnyMap settings{
        ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
        ov::hint::inference_precision(wants_bf16(manifest.precision) ? ov::element::bf16 : ov::element::f32)};
    if (threads > 0) settings.insert(ov::inference_num_threads(threads));
    // From memory: what is loaded is what was hashed.
    const ov::Tensor weights_view(ov::element::u8, {weights_.size()}, weights_.data());
    ov::CompiledModel compiled = core_.compile_model(graph, weights_view, "CPU", settings);
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
    std::copy_n(pixels, ov::shape_size(shape_), request_.get_input_tensor().data<std::uint8_t>());
    request_.infer();
    const ov::Tensor made = request_.get_output_tensor();
    return std::vector<float>(made.data<float>(), made.data<float>() + made.get_size());
  }

 private:
  Bytes weights_;  // constants of the compiled network may still lie in it
  ov::Core core_;
  ov::Shape shape_;
  ov::InferRequest request_;
};

}  // namespace

std::unique_ptr<Engine> load_openvino(std::map<std::string, Bytes> files, const Manifest& manifest, int threads) {
  const Bytes& graph = files.at("model.xml");
  try {
    return std::make_unique<OpenVino>(std::move(files.at("model.bin")), std::string(graph.begin(), graph.end()),
                                      manifest, threads);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    refuse("OpenVINO cannot load model.xml: " + first_line(error.what()), "Build the bundle again for this OpenVINO.");
  }
}

}  // namespace edgekit
