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
  return printable("edgekit: error: " + std::string(what()) + "." + (hint_.empty() ? "" : " " + hint_));
}

namespace {

// How many bytes from `at` on are one character of UTF-8, which becomes `code`; 0: they are none.
std::size_t character(const std::string& text, std::size_t at, std::uint32_t& code) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const std::uint32_t first = byte(at);
  if (first < 0x80) {
    code = first;
    return 1;
  }
  const std::size_t count = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (count == 0 || first >= 0xf5) return 0;
  code = first & (0x7fU >> count);
  for (std::size_t i = 1; i < count; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  return count;
}

// Control characters, and those that turn the direction of writing or end lines.
bool moves_the_cursor(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string printable(const std::string& text) {
  std::string made;
  for (std::size_t at = 0; at < text.size();) {
    std::uint32_t code = 0;
    const std::size_t count = character(text, at, code);
    made += count == 0 || moves_the_cursor(code) ? "?" : text.substr(at, count);
    at += std::max<std::size_t>(count, 1);
  }
  return made;
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

std::size_t size_of_file(const std::string& path, Links links) { return File(path, links).size_bytes(); }

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
