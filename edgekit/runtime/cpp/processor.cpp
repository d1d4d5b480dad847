#include "processor.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace edgekit {

namespace {

using Words = std::set<std::string>;

const Words kExact{"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"};

// Which of kExact oneDNN uses under a limit; all of them under any other value.
const std::map<std::string, Words> kLimitedTo{
    {"SSE41", {}},
    {"AVX", {}},
    {"AVX2", {}},
    {"AVX2_VNNI", {"avx_vnni"}},
    {"AVX2_VNNI_2", {"avx_vnni", "avx_vnni_int8"}},
    {"AVX512_CORE", {}},
    {"AVX512_CORE_VNNI", {"avx512_vnni"}},
    {"AVX512_CORE_BF16", {"avx512_vnni"}},
    {"AVX512_CORE_FP16", {"avx512_vnni"}},
};

std::string limit() {
  for (const char* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
    const char* told = std::getenv(name);
    if (told == nullptr || *told == '\0') continue;
    std::string upper = told;
    const auto raised = [](unsigned char each) { return static_cast<char>(std::toupper(each)); };
    std::transform(upper.begin(), upper.end(), upper.begin(), raised);
    return upper;
  }
  return "";
}

// Of the first processor, as Linux tells them.
Words flags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("flags", 0) != 0 || line.find(':') == std::string::npos) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    Words found;
    for (std::string word; words >> word;) found.insert(word);
    return found;
  }
  return {};
}

}  // namespace

std::string int8_sums_here() {
#if defined(__x86_64__) || defined(_M_X64)
  const Words present = flags();
  if (present.empty()) return "";
  const auto limited = kLimitedTo.find(limit());
  const Words& used = limited == kLimitedTo.end() ? kExact : limited->second;
  const auto is_present = [&](const std::string& each) { return present.count(each) > 0; };
  return std::any_of(used.begin(), used.end(), is_present) ? "exact" : "16-bit";
#else
  return "exact";
#endif
}

std::string what_differs(const std::string& built_for) {
  const std::string here = int8_sums_here();
  if (built_for.empty() || here.empty() || here == built_for) return "";
  if (built_for == "exact") {
    return "INT8 sums may saturate here, and answers be wrong: the bundle was built for processors that add INT8 "
           "products exactly (VNNI), and this one adds them in 16 bits; build it again on this processor, or run it "
           "with ONNX Runtime";
  }
  return "answers are right; the bundle was built for processors without VNNI, and weights of the full range would be "
         "slightly more accurate on this one";
}

}  // namespace edgekit
