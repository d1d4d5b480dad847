#include "manifest.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

namespace edgekit {

namespace {

using Json = nlohmann::json;

constexpr int kSchema = 2;  // the newest known
const char* const kManifest = "manifest.json";
const std::set<std::string> kUnnamed{kManifest, "manifest.json.sig", "model.sig"};  // itself, and signatures of it
constexpr std::size_t kManifestBytes = std::size_t{16} << 20;
constexpr std::size_t kFileBytes = std::size_t{2} << 30;
constexpr int kMaxDepth = 32;  // of arrays and objects: values are copied and compared by recursion
constexpr int kMaxSide = 1 << 14;
constexpr int kMaxThreads = 1024;
constexpr int kMaxClasses = 1 << 24;
const std::set<std::string> kPrecisions{"fp32", "bf16", "fp16", "int8", "mixed"};
const std::set<std::string> kPlugins{"CPU", "GPU", "NPU"};
const char* const kCopyAgain = "Copy the bundle again, or build it again.";

[[noreturn]] void not_whole(const std::string& folder, const std::string& why) {
  refuse("the manifest of " + folder + " is not whole: " + why, kCopyAgain);
}

// No folder, nothing hidden, no control characters.
bool plain_name(const std::string& name) {
  const auto bad = [](char each) { return static_cast<unsigned char>(each) < 0x20 || each == '/' || each == '\\'; };
  return !name.empty() && name.size() <= 255 && name[0] != '.' && kUnnamed.count(name) == 0 &&
         std::none_of(name.begin(), name.end(), bad);
}

bool hexadecimal(const std::string& digits) {
  return digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Interpolation interpolation_of(const std::string& name) {
  if (name == "nearest") return Interpolation::nearest;
  if (name == "bilinear") return Interpolation::bilinear;
  if (name == "bicubic") return Interpolation::bicubic;
  if (name == "lanczos") return Interpolation::lanczos;
  if (name == "area") return Interpolation::area;
  throw std::out_of_range("there is no interpolation " + name);
}

// Numbers are taken as they are written: a library that turns -1, 2.5 or true into an int would hide a lie.
int whole_number(const Json& value, int least, int most) {
  if (!value.is_number_integer()) throw std::out_of_range("a whole number was expected");
  const auto number = value.is_number_unsigned() ? value.get<std::uint64_t>() : std::uint64_t{0};
  if (value < least || number > static_cast<std::uint64_t>(most)) throw std::out_of_range("a number is out of range");
  return static_cast<int>(number);
}

Resize resize_of(const std::string& name) {
  static const std::map<std::string, Resize> kResizes{
      {"crop", Resize::crop}, {"squash", Resize::squash}, {"letterbox", Resize::letterbox}, {"pad", Resize::pad}};
  const auto found = kResizes.find(name);
  if (found == kResizes.end()) throw std::out_of_range("there is no way to resize named " + name);
  return found->second;
}

// Halves of the free width left of the image, and of the free height above it.
std::pair<int, int> alignment_of(const std::string& name) {
  static const std::map<std::string, std::pair<int, int>> kAlignments{
      {"top-left", {0, 0}}, {"top", {1, 0}},         {"top-right", {2, 0}}, {"left", {0, 1}},        {"center", {1, 1}},
      {"right", {2, 1}},    {"bottom-left", {0, 2}}, {"bottom", {1, 2}},    {"bottom-right", {2, 2}}};
  const auto found = kAlignments.find(name);
  if (found == kAlignments.end()) throw std::out_of_range("there is no alignment " + name);
  return found->second;
}

bool flag(const Json& told, const char* key, bool otherwise) {
  const auto found = told.find(key);
  if (found == told.end()) return otherwise;
  if (!found->is_boolean()) throw std::out_of_range(std::string(key) + " is neither true nor false");
  return found->get<bool>();
}

// What came with schema 2; what is not told is as it was before.
void take_newer(const Json& said, Preprocessing& made) {
  made.resize = resize_of(said.value("resize", std::string("crop")));
  made.antialias = flag(said, "antialias", true);
  made.exif = flag(said, "exif", false);
  std::tie(made.pad_across, made.pad_down) = alignment_of(said.value("pad_align", std::string("top-left")));
  const Json color = said.value("pad_color", Json{0, 0, 0});
  if (!color.is_array() || color.size() != 3) throw std::out_of_range("pad_color is no colour");
  for (std::size_t i = 0; i < 3; ++i) made.pad_color[i] = static_cast<std::uint8_t>(whole_number(color[i], 0, 255));
  if (!made.antialias && made.interpolation == Interpolation::lanczos) {
    throw std::out_of_range("there is no lanczos without antialias");
  }
}

Preprocessing preprocessing_of(const Json& told) {
  Preprocessing made;
  const Json& said = told.at("preprocessing");
  const Json& input = told.at("input");
  const Json& size = said.at("size");
  const bool square = !size.is_array();
  if (!square && size.size() != 2) throw std::out_of_range("the size is not height and width");
  made.height = whole_number(square ? size : size[0], 1, kMaxSide);
  made.width = whole_number(square ? size : size[1], 1, kMaxSide);
  const Json wanted = {1, made.height, made.width, 3};
  if (input.at("shape") != wanted || input.at("dtype") != "uint8" || input.at("layout") != "NHWC" ||
      input.at("color") != "RGB") {
    throw std::out_of_range("the input is not uint8 NHWC RGB of the size that preprocessing makes");
  }
  if (!said.at("crop_fraction").is_number()) throw std::out_of_range("crop_fraction is no number");
  made.crop_fraction = said.at("crop_fraction").get<double>();
  if (!(made.crop_fraction >= 0.01 && made.crop_fraction <= 1.0))
    throw std::out_of_range("crop_fraction is not in 0.01 to 1");
  made.interpolation = interpolation_of(said.at("interpolation").get<std::string>());
  take_newer(said, made);
  return made;
}

// One of the words that `output` may say under a key.
std::string output_word(const Json& told, const char* key, const std::set<std::string>& known,
                        const std::string& otherwise) {
  const auto output = told.find("output");
  if (output == told.end() || output->is_null()) return otherwise;
  const std::string word = output->value(key, otherwise);
  if (known.count(word) == 0) throw std::out_of_range(std::string("output.") + key + " is " + word);
  return word;
}

std::map<std::string, FileFacts> files_of(const Json& told) {
  std::map<std::string, FileFacts> files;
  for (const auto& [name, facts] : told.at("files").get_ref<const Json::object_t&>()) {
    if (!plain_name(name)) refuse("the manifest points out of the bundle: " + name, kCopyAgain);
    FileFacts made{facts.at("sha256").get<std::string>(), 0};
    if (!hexadecimal(made.sha256)) throw std::out_of_range("the SHA-256 of " + name + " is none");
    const Json& size = facts.at("size_bytes");
    if (!size.is_number_unsigned()) throw std::out_of_range("the size of " + name + " is none");
    made.size_bytes = size.get<std::uint64_t>();
    files.emplace(name, std::move(made));
  }
  return files;
}

// What makes no sense here says nothing: it is only told of.
std::string sums_of(const Json& told) {
  const auto arithmetic = told.find("arithmetic");
  if (arithmetic == told.end() || !arithmetic->is_object()) return "";
  const Json sums = arithmetic->value("int8_sums", Json());
  return sums == "exact" || sums == "16-bit" ? sums.get<std::string>() : "";
}

// OpenVINO's plugin that the bundle was built for; the processor's where nothing is said of it.
std::string plugin_of(const Json& target) {
  const auto plugin = target.find("plugin");
  if (plugin == target.end() || plugin->is_null()) return "CPU";
  const std::string name = plugin->get<std::string>();
  if (kPlugins.count(name) == 0) throw std::out_of_range("there is no plugin " + name);
  return name;
}

// Processor threads; 0 where nothing is said of them.
int threads_of(const Json& settings) {
  if (settings.is_null()) return 0;
  if (!settings.is_object()) throw std::out_of_range("engine_settings is no table");
  const Json threads = settings.value("threads", Json());
  return threads.is_null() ? 0 : whole_number(threads, 0, kMaxThreads);
}

Manifest manifest_of(const Json& told) {
  Manifest made;
  made.files = files_of(told);
  made.runtime = told.at("target").at("runtime").get<std::string>();
  made.plugin = plugin_of(told.at("target"));
  made.precision = told.at("precision").get<std::string>();
  made.preprocessing = preprocessing_of(told);
  if (kPrecisions.count(made.precision) == 0) throw std::out_of_range("there is no precision " + made.precision);
  made.labels = told.at("labels").get<std::vector<std::string>>();
  const Json& model = told.at("model");
  const Json name = model.value("name", Json());
  if (!name.is_string() && !name.is_null()) throw std::out_of_range("model.name is no text");
  made.classes = static_cast<std::size_t>(whole_number(model.at("classes"), 0, kMaxClasses));
  if (!made.labels.empty() && made.labels.size() != made.classes) {
    throw std::out_of_range(std::to_string(made.labels.size()) + " labels for " + std::to_string(made.classes) +
                            " classes");
  }
  made.activation = output_word(told, "activation", {"softmax", "sigmoid", "none"}, "softmax");
  made.task = output_word(told, "task", {"classify", "multilabel", "embed"}, "classify");
  made.int8_sums = sums_of(told);
  made.threads = threads_of(told.value("engine_settings", Json()));
  return made;
}

void check_schema(const std::string& folder, const Json& told) {
  if (!told.is_object() || told.value("kind", Json()) != "edgekit-bundle") {
    refuse(folder + " holds no bundle of edgekit's", "Give the directory that a build wrote.");
  }
  const Json schema = told.value("schema", Json());
  if (!schema.is_number_integer() || schema < 1) not_whole(folder, "its schema is no number");
  if (schema > kSchema) {
    refuse("the bundle in " + folder + " has schema " + schema.dump() + ", newer than this library's " +
               std::to_string(kSchema),
           "Build the application with a newer edgekit.");
  }
}

// Refuses an object that names a key twice, since readers in other languages could take the other one, and what is
// nested so deeply that going through it would overflow the stack.
class Plain {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    if (depth > kMaxDepth) throw std::out_of_range("it is nested more than " + std::to_string(kMaxDepth) + " deep");
    if (event == Json::parse_event_t::object_start) {
      keys_->emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys_->pop_back();
    } else if (event == Json::parse_event_t::key && !keys_->back().insert(parsed.get<std::string>()).second) {
      throw std::out_of_range("a key is there twice: " + parsed.get<std::string>());
    }
    return true;
  }

 private:
  // Shared, since the parser copies what it calls.
  std::shared_ptr<std::vector<std::set<std::string>>> keys_ = std::make_shared<std::vector<std::set<std::string>>>();
};

}  // namespace

Manifest read_manifest(const std::string& folder) {
  return manifest_in(read_file(folder + "/" + kManifest, kManifestBytes, Links::refuse), folder);
}

Manifest manifest_in(const Bytes& text, const std::string& folder) {
  try {
    const Json told = Json::parse(text.begin(), text.end(), Plain());
    check_schema(folder, told);
    return manifest_of(told);
  } catch (const Json::exception& error) {
    const std::string words = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    not_whole(folder, words.substr(std::min(words.find("] ") + 2, words.size())));
  } catch (const std::out_of_range& error) {
    not_whole(folder, error.what());
  }
}

namespace {

void check_names(const std::string& folder, const Manifest& manifest) {
  std::error_code failed;
  std::filesystem::directory_iterator entry(folder, failed);
  for (; !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (kUnnamed.count(name) == 0 && manifest.files.count(name) == 0) {
      refuse(folder + " holds " + name + ", which is not in the manifest", "Remove it, or copy the bundle again.");
    }
  }
  if (failed) refuse("cannot list " + folder + ": " + failed.message(), "Look at its permissions.");
}

void check_size(const std::string& name, const FileFacts& facts, std::size_t size_bytes) {
  if (size_bytes == facts.size_bytes) return;
  refuse(name + " has " + std::to_string(size_bytes) + " bytes where the manifest says " +
             std::to_string(facts.size_bytes),
         kCopyAgain);
}

void check_digest(const std::string& name, const FileFacts& facts, const Digest& found) {
  check_size(name, facts, found.size_bytes);
  if (found.sha256 != facts.sha256) {
    refuse(name + " was changed or damaged: its SHA-256 is not the manifest's", kCopyAgain);
  }
}

}  // namespace

std::map<std::string, Bytes> checked_files(const std::string& folder, const Manifest& manifest,
                                           const std::vector<std::string>& wanted, bool all) {
  for (const std::string& name : wanted) {
    if (manifest.files.count(name) == 0) refuse("the manifest does not name " + name, kCopyAgain);
  }
  if (all) check_names(folder, manifest);
  std::map<std::string, Bytes> kept;
  for (const auto& [name, facts] : manifest.files) {
    const std::string path = folder + "/" + name;
    const bool is_wanted = std::find(wanted.begin(), wanted.end(), name) != wanted.end();
    if (is_wanted || all) check_size(name, facts, size_of_file(path, Links::refuse));  // before it is read
    if (is_wanted) {
      Bytes content = read_file(path, kFileBytes, Links::refuse);
      check_digest(name, facts, digest_of(content));
      kept.emplace(name, std::move(content));
    } else if (all) {
      check_digest(name, facts, digest_of_file(path, Links::refuse));
    }
  }
  return kept;
}

}  // namespace edgekit
