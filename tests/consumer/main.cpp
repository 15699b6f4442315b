// A user's program of two files that both include the library: what they share is defined once.
#include <dchag/core/error.hpp>

#include <string>

void refuse();

int main() {
  try {
    refuse();
  } catch (dchag::Error const& error) {
    return std::string(error.what()) == "patch = 3 does not divide height = 145: choose 5 or 29" ? 0 : 1;
  }
  return 1;
}
