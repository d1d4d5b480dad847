// edgekit-classify BUNDLE IMAGE... [--top N] [--json] [--raw WxH] [--bench N]
// Exit codes: 0 done, 2 bad input or usage, 4 this machine cannot run the bundle.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "edgekit.hpp"
#include "files.hpp"

namespace {

using edgekit::Error;
using Json = nlohmann::ordered_json;

const char* const kUsage =
    "usage: edgekit-classify BUNDLE IMAGE... [--top N] [--json] [--raw WxH] [--bench N]\n"
    "\n"
    "Checks the bundle, then tells each image's classes with their probabilities.\n"
    "  --top N     how many classes (5)\n"
    "  --json      one JSON object on standard output\n"
    "  --raw WxH   images are raw frames: uint8 RGB, W*H*3 bytes\n"
    "  --bench N   time N calls on the first image: p50, p90 and p99 in milliseconds\n";

struct Arguments {
  std::string bundle;
  std::vector<std::string> images;
  int top = 5;
  int bench = 0;
  int raw_width = 0, raw_height = 0;  // 0: JPEG or PNG
  bool json = false, help = false;
};

[[noreturn]] void misused(const std::string& what) {
  throw Error(Error::Kind::bad_input, what, "See edgekit-classify --help.");
}

int number_of(std::string_view text, const std::string& option) {
  int number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size() || number < 1) {
    misused(option + " takes a whole number above 0, not " + std::string(text));
  }
  return number;
}

void take_option(Arguments& told, const std::string& option, const std::string& value) {
  if (option == "--top") {
    told.top = number_of(value, option);
  } else if (option == "--bench") {
    told.bench = number_of(value, option);
  } else if (option == "--raw") {
    const std::size_t middle = value.find('x');
    if (middle == std::string::npos) misused("--raw takes WxH, such as 640x480, not " + value);
    told.raw_width = number_of(std::string_view(value).substr(0, middle), option);
    told.raw_height = number_of(std::string_view(value).substr(middle + 1), option);
  } else {
    misused("there is no option " + option);
  }
}

Arguments arguments_of(const std::vector<std::string>& words) {
  Arguments told;
  bool options_over = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (options_over || word.rfind("--", 0) != 0) {
      (told.bundle.empty() ? told.bundle : told.images.emplace_back()) = word;
    } else if (word == "--") {
      options_over = true;
    } else if (word == "--json") {
      told.json = true;
    } else if (word == "--help") {
      told.help = true;
    } else {
      if (i + 1 == words.size()) misused(word + " needs a value, or is not an option");
      take_option(told, word, words[++i]);
    }
  }
  if (!told.help && told.images.empty()) misused("a bundle and at least one image are needed");
  return told;
}

edgekit::Image image_of(const Arguments& told, const std::string& path) {
  if (told.raw_width == 0) return edgekit::read_image(path);
  edgekit::Image image{told.raw_width, told.raw_height, {}};
  image.rgb = edgekit::read_file(path, edgekit::Limits().pixels * 3, edgekit::Links::follow);
  const auto wanted = static_cast<std::size_t>(told.raw_width) * static_cast<std::size_t>(told.raw_height) * 3;
  if (image.rgb.size() != wanted) {
    misused(path + " has " + std::to_string(image.rgb.size()) + " bytes where --raw means " + std::to_string(wanted));
  }
  return image;
}

// Milliseconds of `runs` calls, sorted, after some to warm up.
template <typename Call>
std::vector<double> timed(int runs, const Call& call) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < std::min(runs, 20); ++i) call();
  std::vector<double> times;
  for (int i = 0; i < runs; ++i) {
    const auto began = Clock::now();
    call();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
  }
  std::sort(times.begin(), times.end());
  return times;
}

Json percentiles(const std::vector<double>& times) {
  const auto at = [&](std::size_t part) { return times[std::min(times.size() * part / 100, times.size() - 1)]; };
  return {{"p50", at(50)}, {"p90", at(90)}, {"p99", at(99)}, {"runs", times.size()}};
}

// The network alone, and the whole call from an image of its own size to classes; decoding is in neither.
Json bench(const edgekit::Bundle& bundle, const edgekit::Image& image, int runs) {
  const edgekit::Image picture = edgekit::picture(image, bundle.preprocessing());
  return {{"network_ms", percentiles(timed(runs, [&] { bundle.logits(picture); }))},
          {"classify_ms", percentiles(timed(runs, [&] { bundle.classify(image); }))}};
}

void print_lines(const Json& answer) {
  for (const Json& image : answer.at("images")) {
    std::printf("%s\n", edgekit::printable(image.at("image").get<std::string>()).c_str());
    for (const Json& each : image.at("classes")) {
      std::printf("  %6.2f %%  %s\n", each.at("probability").get<double>() * 100,
                  edgekit::printable(each.at("label").get<std::string>()).c_str());
    }
  }
  if (!answer.contains("latency")) return;
  for (const auto& [name, told] : answer.at("latency").items()) {
    std::printf("%-12s p50 %.2f  p90 %.2f  p99 %.2f  (%d runs)\n", name.c_str(), told.at("p50").get<double>(),
                told.at("p90").get<double>(), told.at("p99").get<double>(), told.at("runs").get<int>());
  }
}

int run(const Arguments& told) {
  const edgekit::Bundle bundle = edgekit::Bundle::open(told.bundle);
  Json answer = {{"bundle", told.bundle}, {"images", Json::array()}};
  int code = 0;
  for (const std::string& path : told.images) {
    try {
      const edgekit::Image image = image_of(told, path);
      Json top = Json::array();
      for (const auto& each : bundle.classify(image, static_cast<std::size_t>(told.top))) {
        top.push_back({{"label", each.label}, {"index", each.index}, {"probability", each.probability}});
      }
      answer["images"].push_back({{"image", path}, {"classes", top}});
      if (told.bench > 0 && !answer.contains("latency")) answer["latency"] = bench(bundle, image, told.bench);
    } catch (const Error& error) {  // the other images still get their answers
      std::fprintf(stderr, "%s\n", error.line().c_str());
      code = error.exit_code();
    }
  }
  if (told.json) {
    std::printf("%s\n", answer.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    print_lines(answer);
  }
  return code;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments told = arguments_of({words + std::min(count, 1), words + count});
    if (told.help) {
      std::fputs(kUsage, stdout);
      return 0;
    }
    return run(told);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.line().c_str());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    std::fputs("edgekit: error: there is not enough memory. Give smaller images.\n", stderr);
    return 4;
  }
}
