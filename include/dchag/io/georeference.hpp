#pragma once

#include <array>
#include <dchag/core/types.hpp>
#include <optional>
#include <string>

namespace dchag {

/// Where an image lies.
struct Georeference {
  /// The place of a pixel's upper left corner: x = t[0] + column t[1] + row t[2], y = t[3] + column t[4] + row t[5].
  /// None where it is not known.
  std::optional<std::array<double, 6>> transform{};
  std::string projection{};  // of x and y, as WKT; empty where it is not known

  /// Of an image of the same place, a pixel of which is `pixels` of these each way.
  Georeference coarser(Index pixels) const {
    Georeference result = *this;
    if (result.transform)
      for (std::size_t i : {1, 2, 4, 5}) (*result.transform)[i] *= static_cast<double>(pixels);
    return result;
  }

  bool operator==(Georeference const&) const = default;
};

}  // namespace dchag
