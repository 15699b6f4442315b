#pragma once

#include <dchag/channels/partition.hpp>
#include <dchag/channels/patches.hpp>
#include <dchag/core/error.hpp>
#include <utility>
#include <vector>

namespace dchag::channels::detail {

/// Throws where a front end cannot be built of these sizes.
inline PatchGrid const& checked(PatchGrid const& grid, Index embed, Index heads) {
  require(grid.channels > 0, "channels = ", grid.channels, ": an image has at least one");
  require(grid.patch > 0 && grid.height > 0 && grid.width > 0, "patch = ", grid.patch, ", height = ", grid.height,
          ", width = ", grid.width, ": all must be positive");
  require(grid.height % grid.patch == 0 && grid.width % grid.patch == 0, "patch = ", grid.patch,
          " does not divide height = ", grid.height, " and width = ", grid.width,
          ": crop or pad the image, or choose a common divisor");
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
