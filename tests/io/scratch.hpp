#pragma once

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace dchag::tests {

/// A new folder that is removed with all it holds.
class Scratch {
 public:
  Scratch() {
    static std::atomic<unsigned> counter = 0;
    folder_ = std::filesystem::temp_directory_path() /
              ("dchag-test-" + std::to_string(::getpid()) + "-" + std::to_string(counter++));
    std::filesystem::create_directories(folder_);
  }
  Scratch(Scratch const&) = delete;
  Scratch& operator=(Scratch const&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::filesystem::path operator/(std::string_view name) const { return folder_ / name; }

  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

 private:
  std::filesystem::path folder_;
};

inline void spew(std::filesystem::path const& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string slurp(std::filesystem::path const& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The message of the Error that an action throws, empty where it throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (Error const& error) {
    return error.what();
  }
  return {};
}

inline bool holds(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// An integer as its little-endian bytes, the low ones first.
inline std::string little_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

}  // namespace dchag::tests
