#pragma once

#include <dchag/core/error.hpp>
#include <dchag/io/detail/output_file.hpp>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

namespace dchag::detail {

/// A file and its companions that appear together, whole, or not at all: they are written into a folder beside the file
/// and commit() puts them in place. Without commit the destructor removes them, and what stood there stays as it was.
class FolderAside {
  using Path = std::filesystem::path;

 public:
  /// A symbolic link is followed. Throws Error where the folder cannot be made.
  explicit FolderAside(Path path) : path_(target_of(std::move(path))) {
    std::error_code code;
    do {
      folder_ = aside_of(path_);
    } while (!std::filesystem::create_directory(folder_, code) && !code);
    require(!code, path_.string(), ": cannot be created: ", code.message());
  }
  FolderAside(FolderAside const&) = delete;
  FolderAside& operator=(FolderAside const&) = delete;
  ~FolderAside() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  Path const& path() const { return path_; }

  /// Where the file is to be written; companions in the same folder.
  Path file() const { return folder_ / path_.filename(); }

  /// Flushes to the device and puts in place what was written; companions that stood there before and were not written
  /// now are removed. While several files change places, no file stands under the path: it is moved away first and put
  /// there last.
  void commit(std::vector<Path> const& companions) {
    std::vector<Path> fresh, stale;
    std::error_code code;
    for (auto entry = std::filesystem::directory_iterator(folder_, code); !code && entry != end(entry);
         entry.increment(code)) {
      OutputFile(entry->path()).close();
      if (entry->path() != file()) fresh.push_back(entry->path().filename());
    }
    require(!code, path_.string(), ": cannot be put in place: ", code.message());
    for (Path const& companion : companions)
      if (std::filesystem::exists(companion, code)) stale.push_back(companion.filename());
    if (fresh.empty() && stale.empty()) {
      move(file(), path_);
    } else {
      if (std::filesystem::exists(path_, code)) stale.insert(stale.begin(), path_.filename());
      fresh.push_back(path_.filename());
      exchange(fresh, stale);
    }
    flush_directory_of(path_);
  }

 private:
  Path beside(Path const& name) const { return path_.parent_path() / name; }

  void move(Path const& from, Path const& to) const {
    std::error_code code;
    std::filesystem::rename(from, to, code);
    require(!code, path_.string(), ": cannot be put in place: ", code.message());
  }

  /// Moves away the stale and puts the fresh in place, in their order; where that fails, all is as it was before.
  void exchange(std::vector<Path> const& fresh, std::vector<Path> const& stale) const {
    Path const before = folder_ / "before";
    std::vector<std::pair<Path, Path>> moved;
    std::error_code code;
    auto const step = [&](Path const& from, Path const& to) {
      moved.reserve(moved.size() + 1);
      move(from, to);
      moved.emplace_back(from, to);
    };
    try {
      std::filesystem::create_directory(before, code);
      require(!code, path_.string(), ": cannot be put in place: ", code.message());
      for (Path const& name : stale) step(beside(name), before / name);
      for (Path const& name : fresh) {
        require(!std::filesystem::exists(beside(name), code), path_.string(),
                ": cannot be put in place: ", beside(name).string(), " stands there");
        step(folder_ / name, beside(name));
      }
    } catch (...) {
      for (auto undo = moved.rbegin(); undo != moved.rend(); ++undo)
        std::filesystem::rename(undo->second, undo->first, code);
      throw;
    }
  }

  Path path_, folder_;
};

}  // namespace dchag::detail
