#include "files.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace edgekit {

Error::Error(Kind kind, const std::string& what, std::string hint)
    : std::runtime_error(what), kind_(kind), hint_(std::move(hint)) {}

std::string Error::line() const {
  std::string told = "edgekit: error: " + std::string(what()) + "." + (hint_.empty() ? "" : " " + hint_);
  for (char& each : told) {  // names of files may hold anything, and the promise is one line
    if (static_cast<unsigned char>(each) < 0x20 || each == 0x7f) each = '?';
  }
  return told;
}

void refuse(const std::string& what, const std::string& hint) { throw Error(Error::Kind::bad_input, what, hint); }

namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

// A regular file, opened; its size may be asked for.
class File {
 public:
  File(const std::string& path, Links links);

  std::size_t size_bytes() const { return size_bytes_; }

  // The next `count` bytes. Throws Error: there are fewer.
  void read_next(std::uint8_t* into, std::size_t count) {
    while (count > 0) {
      const ssize_t got = read(descriptor_.number(), into, count);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) refuse("cannot read " + path_ + " to its end", "Is it being written? Try again.");
      into += got;
      count -= static_cast<std::size_t>(got);
    }
  }

 private:
  std::string path_;
  Descriptor descriptor_;
  std::size_t size_bytes_ = 0;
};

// Without O_NONBLOCK the opening of a named pipe would wait for somebody to write.
File::File(const std::string& path, Links links)
    : path_(path),
      descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | (links == Links::refuse ? O_NOFOLLOW : 0))) {
  if (descriptor_.number() < 0) {
    if (errno == ELOOP) refuse(path + " is a symbolic link", "A bundle has none: copy it again.");
    refuse("cannot read " + path + ": " + std::strerror(errno), "Look at the path and its permissions.");
  }
  struct stat facts{};
  if (fstat(descriptor_.number(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
    refuse(path + " is not a regular file", "Look at the path.");
  }
  size_bytes_ = static_cast<std::size_t>(facts.st_size);
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) { check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr)); }

  void add(const std::uint8_t* bytes, std::size_t count) { check(EVP_DigestUpdate(context_.get(), bytes, count)); }

  std::string digits() {
    static const char* const kDigits = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    check(EVP_DigestFinal_ex(context_.get(), digest, &length));
    std::string told;
    for (unsigned int i = 0; i < length; ++i) {
      told += kDigits[digest[i] >> 4];
      told += kDigits[digest[i] & 15];
    }
    return told;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  static void check(int worked) {
    if (worked == 1) return;
    throw Error(Error::Kind::cannot_run, "OpenSSL cannot compute SHA-256 here", "Look at its configuration.");
  }

  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace

Bytes read_file(const std::string& path, std::size_t limit_bytes, Links links) {
  File file(path, links);
  if (file.size_bytes() > limit_bytes) {
    refuse(path + " has " + std::to_string(file.size_bytes()) + " bytes, more than " + std::to_string(limit_bytes),
           "Give a smaller one.");
  }
  Bytes content(file.size_bytes());
  file.read_next(content.data(), content.size());
  return content;
}

Digest digest_of(const Bytes& content) {
  Sha256 digest;
  digest.add(content.data(), content.size());
  return {digest.digits(), content.size()};
}

Digest digest_of_file(const std::string& path, Links links) {
  File file(path, links);
  Sha256 digest;
  Bytes piece(kPieceBytes);
  for (std::size_t left = file.size_bytes(); left > 0;) {
    const std::size_t count = std::min(left, kPieceBytes);
    file.read_next(piece.data(), count);
    digest.add(piece.data(), count);
    left -= count;
  }
  return {digest.digits(), file.size_bytes()};
}

}  // namespace edgekit
