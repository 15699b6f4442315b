#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

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

}  // namespace dchag
