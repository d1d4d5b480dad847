// edgekit-load BUNDLE THREADS CALLS IMAGE...: so many threads, each with so many calls on one bundle, of which a tenth
// warm up. Tells, as JSON, how many answers were others than that of the image alone, and the memory of the process
// (resident, bytes) after the tenth and at the end.

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "edgekit.hpp"
#include "files.hpp"

namespace {

using Answer = std::vector<edgekit::Ranked>;

bool same(const Answer& a, const Answer& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].index != b[i].index || a[i].label != b[i].label || a[i].probability != b[i].probability) return false;
  }
  return true;
}

long resident_bytes() {
  std::ifstream file("/proc/self/statm");
  long all = 0, resident = 0;
  file >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Where threads wait for each other; the last one to come does something before all go on.
class Meeting {
 public:
  explicit Meeting(int count) : awaited_(count), count_(count) {}

  template <typename Call>
  void wait(const Call& call) {
    std::unique_lock<std::mutex> mine(mutex_);
    const int turn = turn_;
    if (--awaited_ == 0) {
      call();
      awaited_ = count_;
      ++turn_;
      all_here_.notify_all();
    } else {
      all_here_.wait(mine, [&] { return turn_ != turn; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  int awaited_, count_, turn_ = 0;
};

}  // namespace

int main(int count, char** words) {
  if (count < 5) return 2;
  const int threads = std::atoi(words[2]), calls = std::atoi(words[3]);
  const edgekit::Bundle bundle = edgekit::Bundle::open(words[1]);
  std::vector<edgekit::Bytes> images;
  std::vector<Answer> alone;
  const auto answer = [&](const edgekit::Bytes& image) {
    return bundle.classify(edgekit::decode(image.data(), image.size()));
  };
  for (int i = 4; i < count; ++i) {
    images.push_back(edgekit::read_file(words[i], std::size_t{1} << 24, edgekit::Links::follow));
    alone.push_back(answer(images.back()));
  }
  std::atomic<long> wrong{0}, made{0};
  long warm = 0, end = 0;
  Meeting meeting(threads);
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      for (int call = 0; call < calls; ++call) {
        if (call == calls / 10) meeting.wait([&] { warm = resident_bytes(); });
        const std::size_t i = static_cast<std::size_t>(call * 7 + thread) % images.size();
        if (!same(answer(images[i]), alone[i])) ++wrong;
        ++made;
      }
      meeting.wait([&] { end = resident_bytes(); });
    });
  }
  for (std::thread& each : running) each.join();
  std::printf("{\"calls\": %ld, \"wrong\": %ld, \"warm_bytes\": %ld, \"end_bytes\": %ld}\n", made.load(), wrong.load(),
              warm, end);
}
