#pragma once

#include <array>
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace dchag {

/// Everything that this library throws. The message names the field, its value, what was expected and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with its arguments written one after the other.
template <class... Parts>
[[noreturn]] void fail(Parts const&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

/// Throws Error with the remaining arguments written one after the other, unless the condition holds.
template <class... Parts>
void require(bool condition, Parts const&... parts) {
  if (!condition) fail(parts...);
}

namespace detail {

/// A text in quotes, fit for a message: cut where it is long, with unprintable bytes written as \xHH.
inline std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char const c : text.substr(0, 100)) {
    std::array<char, 8> hex{};
    std::snprintf(hex.data(), hex.size(), "\\x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += c >= 0x20 && c < 0x7F ? std::string(1, c) : std::string(hex.data());
  }
  return out + (text.size() > 100 ? "...\"" : "\"");
}

}  // namespace detail

}  // namespace dchag
