#pragma once

#include <optional>
#include <string>

namespace dchag {

/// What a channel of an image is. Models and sources of data find each other's channels by name.
struct Channel {
  std::string name;
  std::string unit{};                  // as its source writes it; empty where not known
  std::optional<double> level{};       // in the unit of the source's level axis
  std::optional<double> wavelength{};  // nanometres

  bool operator==(Channel const&) const = default;
};

}  // namespace dchag
