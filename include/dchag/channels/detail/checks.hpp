#pragma once

#include <algorithm>
#include <cstdint>
#include <dchag/channels/partition.hpp>
#include <dchag/channels/patches.hpp>
#include <dchag/core/error.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace dchag::channels::detail {

/// The edges that a patch divides next to one that it does not: nothing where it does.
inline std::string edges_near(char const* name, Index edge, Index patch) {
  auto const step = static_cast<std::uint64_t>(patch), size = static_cast<std::uint64_t>(edge);
  std::uint64_t const below = size / step * step;
  if (below == size) return "";
  return std::string(" ") + name + " = " + (below > 0 ? std::to_string(below) + " or " : "") +
         std::to_string(below + step);
}

/// What is wrong with a patch that does not divide height and width, which patches do, and which sizes it would divide.
inline std::string patch_complaint(PatchGrid const& grid) {
  constexpr Index largest = 256;  // patch that is thought of
  Index const common = std::gcd(grid.height, grid.width);
  std::string patches;
  for (Index patch = 1; patch <= std::min(common, largest); ++patch)
    if (common % patch == 0) patches += (patches.empty() ? "" : ", ") + std::to_string(patch);
  std::string const height = edges_near("height", grid.height, grid.patch),
                    width = edges_near("width", grid.width, grid.patch);
  auto const given = [](char const* name, Index edge) { return std::string(name) + " = " + std::to_string(edge); };
  return given("patch", grid.patch) + " does not divide " + (height.empty() ? "" : given("height", grid.height)) +
         (height.empty() || width.empty() ? "" : " and ") + (width.empty() ? "" : given("width", grid.width)) +
         ": choose a patch that divides height and width (" + patches + (common > largest ? ", ..." : "") +
         "), or crop or pad to" + height + (height.empty() || width.empty() ? "" : " and") + width;
}

/// Throws where a front end cannot be built of these sizes.
inline PatchGrid const& checked(PatchGrid const& grid, Index embed, Index heads) {
  require(grid.channels > 0, "channels = ", grid.channels, ": an image has at least one");
  require(grid.patch > 0 && grid.height > 0 && grid.width > 0, "patch = ", grid.patch, ", height = ", grid.height,
          ", width = ", grid.width, ": all must be positive");
  if (grid.height % grid.patch != 0 || grid.width % grid.patch != 0) fail(patch_complaint(grid));
  require(embed > 0 && heads > 0 && embed % heads == 0, "heads = ", heads, " does not divide embed = ", embed,
          ": choose heads among the divisors of embed");
  return grid;
}

/// The owners of all channels; of this rank where it is alone, or where all channels are every rank's.
inline std::vector<int> checked_owners(std::vector<int> owners, PatchGrid const& grid, int ranks) {
  if ((owners.empty() && ranks == 1) || everywhere(owners)) owners.assign(static_cast<std::size_t>(grid.channels), 0);
  require(static_cast<Index>(owners.size()) == grid.channels, "front end: owners of ", owners.size(), " of ",
          grid.channels, " channels: say for each which rank owns it");
  return owners;
}

}  // namespace dchag::channels::detail
