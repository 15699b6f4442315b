#pragma once

#include <dchag/core/types.hpp>

namespace dchag {

/// A rectangle of the pixels of an image; row 0 is the uppermost.
struct Window {
  Index top = 0, left = 0, height = 0, width = 0;

  Index pixels() const { return height * width; }
  bool operator==(Window const&) const = default;
};

}  // namespace dchag
