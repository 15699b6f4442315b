#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <dchag/core/error.hpp>
#include <dchag/io/detail/input_file.hpp>
#include <dchag/io/detail/output_file.hpp>
#include <filesystem>
#include <span>
#include <utility>

namespace dchag {

/// A file that appears under its name whole or not at all: it is written aside, in the same directory, and commit()
/// puts it in place. Without commit the destructor removes what was written, and a file that stood there before stays
/// as it was. Every member function throws Error where the system refuses (full disk, missing directory, rights).
class AtomicFile {
 public:
  /// Opens the file aside. A symbolic link is followed: what it points to is replaced, the link stays.
  explicit AtomicFile(std::filesystem::path path) : path_(detail::target_of(std::move(path))) {
    do {
      aside_ = detail::aside_of(path_);
      descriptor_ = ::open(aside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
    require(descriptor_ >= 0, path_.string(), ": cannot be created: ", detail::system_message(errno));
  }

  AtomicFile(AtomicFile const&) = delete;
  AtomicFile& operator=(AtomicFile const&) = delete;

  ~AtomicFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!committed_) ::unlink(aside_.c_str());
  }

  std::filesystem::path const& path() const { return path_; }

  /// Where the bytes stand until commit().
  std::filesystem::path const& aside() const { return aside_; }

  /// Appends after the last write().
  void write(std::span<std::byte const> bytes) {
    write_at(position_, bytes);
    position_ += bytes.size();
  }

  /// Writes at an offset from the beginning, which may lie past the end; write() goes on where it was.
  void write_at(std::uint64_t offset, std::span<std::byte const> bytes) {
    require(descriptor_ >= 0, path_.string(), ": written to after commit");
    detail::write_all(descriptor_, path_, offset, bytes);
  }

  /// Makes the file that many bytes long; what was not written is zero.
  void resize(std::uint64_t bytes) {
    require(descriptor_ >= 0, path_.string(), ": resized after commit");
    require(::ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0, path_.string(), ": cannot be made ", bytes,
            " bytes long: ", detail::system_message(errno), "; what stood there before is unchanged");
  }

  /// Flushes to the device, renames into place and flushes the directory. Nothing can be written afterwards.
  void commit() {
    require(descriptor_ >= 0, path_.string(), ": committed twice");
    detail::flush_and_close(descriptor_, path_);
    require(::rename(aside_.c_str(), path_.c_str()) == 0, path_.string(),
            ": cannot be put in place: ", detail::system_message(errno));
    committed_ = true;
    detail::flush_directory_of(path_);
  }

 private:
  std::filesystem::path path_;
  std::filesystem::path aside_;
  int descriptor_ = -1;
  std::uint64_t position_ = 0;
  bool committed_ = false;
};

}  // namespace dchag
