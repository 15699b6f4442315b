#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace dchag::detail {

inline std::string system_message(int code) { return std::generic_category().message(code); }

/// A regular file open for reading. Reads name their offset, so that several threads may read from one object.
class InputFile {
 public:
  /// Throws Error where the file cannot be opened or is not a regular file.
  explicit InputFile(std::filesystem::path path) : path_(std::move(path)) {
    std::error_code code;
    auto const status = std::filesystem::status(path_, code);
    require(status.type() != std::filesystem::file_type::not_found, path_.string(), ": no such file");
    require(!code, path_.string(), ": cannot be opened: ", code.message());
    require(std::filesystem::is_regular_file(status), path_.string(), ": is not a regular file");
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    require(descriptor_ >= 0, path_.string(), ": cannot be opened: ", system_message(errno));
    struct stat facts {};
    if (::fstat(descriptor_, &facts) != 0) {
      int const failure = errno;
      ::close(descriptor_);
      fail(path_.string(), ": cannot be opened: ", system_message(failure));
    }
    size_ = static_cast<std::uint64_t>(facts.st_size);
  }

  InputFile(InputFile&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}
  InputFile& operator=(InputFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(descriptor_, other.descriptor_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~InputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  std::filesystem::path const& path() const { return path_; }

  /// Bytes in the file when it was opened.
  std::uint64_t size() const { return size_; }

  /// Fills bytes with what stands at offset; throws Error where the file ends first or cannot be read.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
    require(offset <= size_ && bytes.size() <= size_ - offset, path_.string(), ": ends at byte ", size_, ", but ",
            bytes.size(), " bytes are needed from byte ", offset);
    while (!bytes.empty()) {
      ssize_t const got = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      require(got >= 0, path_.string(), ": cannot be read at byte ", offset, ": ", system_message(errno));
      require(got > 0, path_.string(), ": became shorter while it was read, ends at byte ", offset);
      offset += static_cast<std::uint64_t>(got);
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
  }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace dchag::detail
