#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/detail/input_file.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace dchag::detail {

/// Writes all bytes at an offset; throws Error, naming `path`, where the system refuses.
inline void write_all(int descriptor, std::filesystem::path const& path, std::uint64_t offset,
                      std::span<std::byte const> bytes) {
  while (!bytes.empty()) {
    ssize_t const put = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    require(put > 0, path.string(), ": cannot be written at byte ", offset, ": ",
            put < 0 ? system_message(errno) : "nothing was taken", "; what stood there before is unchanged");
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

/// Flushes to the device and closes; throws Error, naming `path`, where either fails.
inline void flush_and_close(int& descriptor, std::filesystem::path const& path) {
  int const flushed = ::fsync(descriptor) == 0 ? 0 : errno;
  int const closed = ::close(std::exchange(descriptor, -1)) == 0 ? 0 : errno;
  int const failure = flushed != 0 ? flushed : closed;
  require(failure == 0, path.string(), ": cannot be flushed: ", system_message(failure),
          "; what stood there before is unchanged");
}

/// The regular file that is to be written or replaced, which a symbolic link names; throws Error where there is none.
inline std::filesystem::path target_of(std::filesystem::path path) {
  std::error_code code;
  if (std::filesystem::is_symlink(path, code)) path = std::filesystem::weakly_canonical(path, code);
  require(!path.filename().empty(), '"', path.string(), "\" does not name a file to write");
  auto const there = std::filesystem::status(path, code);
  require(!std::filesystem::exists(there) || std::filesystem::is_regular_file(there), path.string(),
          ": exists and is not a regular file: choose another name");
  return path;
}

/// A name beside a file that this program has not used before.
inline std::filesystem::path aside_of(std::filesystem::path path) {
  static std::atomic<unsigned> counter = 0;
  path += ".part-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  return path;
}

/// Flushes the directory that a file was just renamed into; throws Error where that fails.
inline void flush_directory_of(std::filesystem::path const& path) {
  auto const directory = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  int const descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // a directory that may be written but not read
  int const failure = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  require(failure == 0 || failure == EINVAL || failure == ENOTSUP, path.string(),
          ": is in place, but its directory cannot be flushed: ", system_message(failure));
}

/// A file that stands there, open for writing at any offset.
class OutputFile {
 public:
  /// Throws Error where it cannot be opened.
  explicit OutputFile(std::filesystem::path path) : path_(std::move(path)) {
    do descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    while (descriptor_ < 0 && errno == EINTR);
    require(descriptor_ >= 0, path_.string(), ": cannot be opened for writing: ", system_message(errno));
  }
  OutputFile(OutputFile const&) = delete;
  OutputFile& operator=(OutputFile const&) = delete;
  ~OutputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  void write_at(std::uint64_t offset, std::span<std::byte const> bytes) {
    write_all(descriptor_, path_, offset, bytes);
  }
  void close() { flush_and_close(descriptor_, path_); }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace dchag::detail
