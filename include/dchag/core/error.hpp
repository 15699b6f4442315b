#pragma once

#include <array>
#include <cstdio>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace dchag {

/// Everything that this library throws. The message names the field, its value, what was expected and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// A part of a message, of any type that a stream writes.
struct MessagePart {
  void const* value;
  void (*write)(std::ostream& message, void const* value);
};

template <class T>
void write_part(std::ostream& message, void const* value) {
  if constexpr (std::is_array_v<T>)
    message << static_cast<char const*>(value);
  else
    message << *static_cast<T const*>(value);
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_with(std::initializer_list<MessagePart> parts) {
  std::ostringstream message;
  for (MessagePart const& part : parts) part.write(message, part.value);
  throw Error(message.str());
}

}  // namespace detail

/// Throws Error with its arguments written one after the other.
template <class... Parts>
[[noreturn]] void fail(Parts const&... parts) {
  detail::fail_with({detail::MessagePart{&parts, &detail::write_part<Parts>}...});
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
