#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <utility>

#include "engine.hpp"
#include "golden.hpp"
#include "manifest.hpp"

namespace edgekit {

namespace {

// A probability may be another by so much where kernels and rounding differ, or by this part of the answer's own where
// that is less; answers nearer than that are a tie.
constexpr double kGoldenShift = 0.1, kGoldenPart = 0.25;
// Outputs that are no probabilities must keep their direction so far.
constexpr double kGoldenCosine = 0.99;

const std::map<std::string, Runtime>& runtimes() {
  static const std::map<std::string, Runtime> kRuntimes{{"openvino", {{"model.xml", "model.bin"}, load_openvino}}};
  return kRuntimes;
}

void say_on_stderr(const std::string& warning) { std::fprintf(stderr, "edgekit: warning: %s\n", warning.c_str()); }

double direction_of(const float* a, const float* b, std::size_t count) {
  double product = 0, length_a = 0, length_b = 0;
  for (std::size_t i = 0; i < count; ++i) {
    product += double{a[i]} * double{b[i]};
    length_a += double{a[i]} * double{a[i]};
    length_b += double{b[i]} * double{b[i]};
  }
  return product / std::max(std::sqrt(length_a) * std::sqrt(length_b), 1e-12);
}

// What makes probabilities of the outputs for one image, by the manifest's word for it.
std::vector<double> activated(const std::vector<float>& made, const std::string& activation) {
  std::vector<double> shares(made.begin(), made.end());
  if (activation == "none" || shares.empty()) return shares;
  if (activation == "sigmoid") {
    for (double& each : shares) {
      const double small = std::exp(-std::abs(each));  // of the size only, which cannot overflow
      each = (each < 0 ? small : 1.0) / (1.0 + small);
    }
    return shares;
  }
  const double highest = *std::max_element(shares.begin(), shares.end());
  for (double& each : shares) each = std::exp(each - highest);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& each : shares) each /= sum;
  return shares;
}

// How what a network gives here compares with what was kept, over the golden pictures; see edgekit/runtime/golden.py.
struct Alike {
  std::size_t images = 0, same = 0, near = 0;
  double shift = 0, cosine = 1;

  void add(const std::vector<float>& made, const std::vector<float>& kept, const std::string& activation) {
    ++images;
    const double direction = direction_of(made.data(), kept.data(), kept.size());
    if (!(direction >= cosine)) cosine = direction;  // also when it is not a number
    if (activation == "none") return;
    const std::vector<double> now = activated(made, activation), before = activated(kept, activation);
    const auto first = [](const std::vector<double>& shares) {
      return static_cast<std::size_t>(std::max_element(shares.begin(), shares.end()) - shares.begin());
    };
    const double may = std::min(kGoldenShift, kGoldenPart * before[first(before)]);
    if (before[first(before)] - before[first(now)] <= may) ++same;
    double moved = 0;
    for (std::size_t i = 0; i < now.size(); ++i) {
      const double difference = std::abs(now[i] - before[i]);
      if (!(difference <= moved)) moved = difference;
    }
    if (moved <= may) ++near;
    if (!(moved <= shift)) shift = moved;
  }

  bool ok(const std::string& activation) const {
    if (activation == "none") return cosine >= kGoldenCosine;
    return same == images && near == images && std::isfinite(cosine);
  }

  std::string said(const std::string& activation) const {
    if (activation == "none") return "outputs keep a cosine of " + std::to_string(cosine);
    return std::to_string(same) + " of " + std::to_string(images) +
           " pictures have the answer that they had, probabilities differ by at most " + std::to_string(100 * shift) +
           " points";
  }
};

}  // namespace

const Runtime& runtime_of(const std::string& name) {
  const auto found = runtimes().find(name);
  if (found == runtimes().end()) {
    throw Error(Error::Kind::cannot_run, "the bundle is for " + name + ", which this library does not run",
                "Build a bundle with --target cpu, or use edgekit's Python runtime.");
  }
  return found->second;
}

struct Bundle::State {
  Manifest manifest;
  Golden golden;
  std::unique_ptr<Engine> engine;
  std::mutex turn;

  void load(const std::string& path, const Options& options) {
    manifest = read_manifest(path);
    const Runtime& runtime = runtime_of(manifest.runtime);
    std::vector<std::string> wanted = runtime.files;
    wanted.emplace_back("golden.npz");
    auto files = checked_files(path, manifest, wanted, options.check_integrity);
    golden = read_golden(files.at("golden.npz"), manifest.preprocessing.height, manifest.preprocessing.width);
    if (manifest.classes != 0 && manifest.classes != golden.classes) {
      refuse("the manifest tells of " + std::to_string(manifest.classes) + " classes, the golden outputs of " +
                 std::to_string(golden.classes),
             "Build the bundle again.");
    }
    const int threads = options.threads > 0 ? options.threads : manifest.threads;
    engine = runtime.load(std::move(files), manifest, threads, options.warn ? options.warn : say_on_stderr);
  }

  // As many outputs as there are classes, all of them numbers.
  std::vector<float> infer(const std::uint8_t* pixels) {
    const std::lock_guard<std::mutex> mine(turn);
    std::vector<float> made = engine->infer(pixels);
    if (made.size() != golden.classes) {
      refuse("the model gives " + std::to_string(made.size()) + " outputs where the golden ones are " +
                 std::to_string(golden.classes),
             "Build the bundle again.");
    }
    if (!std::all_of(made.begin(), made.end(), [](float each) { return std::isfinite(each); })) {
      refuse("the network gave values that are no numbers", "Give another image, or build the bundle again.");
    }
    return made;
  }
};

Bundle::Bundle(std::unique_ptr<State> state) : state_(std::move(state)) {}
Bundle::Bundle(Bundle&&) noexcept = default;
Bundle& Bundle::operator=(Bundle&&) noexcept = default;
Bundle::~Bundle() = default;

Bundle Bundle::open(const std::string& path, const Options& options) {
  auto state = std::make_unique<State>();
  within_memory([&] { state->load(path, options); });
  Bundle bundle(std::move(state));
  if (options.check_golden) bundle.check_golden();
  return bundle;
}

const std::vector<std::string>& Bundle::labels() const { return state_->manifest.labels; }

const Preprocessing& Bundle::preprocessing() const { return state_->manifest.preprocessing; }

std::vector<float> Bundle::logits(const Image& image) const {
  const int width = preprocessing().width, height = preprocessing().height;
  const std::size_t bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
  if (image.width != width || image.height != height || image.rgb.size() != bytes) {
    refuse("a picture must be " + std::to_string(width) + " pixels wide and " + std::to_string(height) + " high, RGB",
           "Use classify, which resizes.");
  }
  return state_->infer(image.rgb.data());
}

std::vector<Ranked> Bundle::classify(const Image& image, std::size_t top) const {
  if (state_->manifest.task == "embed") {
    refuse("the bundle gives vectors to compare, not classes", "Use logits on what picture makes of the image.");
  }
  const std::vector<double> shares = activated(logits(picture(image, preprocessing())), state_->manifest.activation);
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return shares[a] > shares[b]; });
  order.resize(std::min(top, order.size()));
  std::vector<Ranked> ranked;
  for (const std::size_t i : order) {
    ranked.push_back({static_cast<int>(i), i < labels().size() ? labels()[i] : std::to_string(i), shares[i]});
  }
  return ranked;
}

double Bundle::check_golden() const {
  const Golden& golden = state_->golden;
  const std::string& activation = state_->manifest.activation;
  const std::size_t picture_bytes = golden.inputs.size() / golden.images;
  Alike found;
  for (std::size_t i = 0; i < golden.images; ++i) {
    const std::vector<float> made = state_->infer(golden.inputs.data() + i * picture_bytes);
    const auto kept = golden.logits.begin() + static_cast<std::ptrdiff_t>(i * golden.classes);
    found.add(made, {kept, kept + static_cast<std::ptrdiff_t>(golden.classes)}, activation);
  }
  if (!found.ok(activation)) {
    refuse("this machine computes otherwise than where the bundle was built: " + found.said(activation),
           "Build the bundle on this kind of machine.");
  }
  return found.cosine;
}

}  // namespace edgekit
