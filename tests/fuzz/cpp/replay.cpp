// edgekit-fuzz TARGET FILE...: gives each file's bytes to a target, and tells for each in a line whether it was taken
// (1) or refused (0).

#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "targets.hpp"

int main(int count, char** words) {
  const edgekit_fuzz::Target& target = edgekit_fuzz::target_named(count > 1 ? words[1] : "");
  for (int i = 2; i < count; ++i) {
    std::ifstream file(words[i], std::ios::binary);
    const std::vector<char> content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::fprintf(stderr, "%s\n", words[i]);  // the last one is the one that ended the program
    const bool taken =
        edgekit_fuzz::give(target, reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
    std::printf("%d\n", taken ? 1 : 0);
  }
}
