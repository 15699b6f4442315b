#pragma once

#include <Kokkos_Core.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/communicator.hpp>

namespace dchag {

/// Contiguous shares of an extent, one for each rank, in their order. Shares may be empty.
struct Shares {
  Index extent = 0, step = 0, longer = 0;  // `longer` shares are of step + 1, the others of step; none ends past extent

  /// Sizes that differ by at most one, the longer ones first.
  static Shares even(Index extent, Index ranks) { return {extent, extent / ranks, extent % ranks}; }
  /// All of one size but for the last, which are short or empty: pieces of that size, one after the other, are the
  /// whole with padding at its end.
  static Shares padded(Index extent, Index ranks) { return {extent, ceil_div(extent, ranks), 0}; }

  KOKKOS_FUNCTION Index first(Index rank) const { return Kokkos::min(extent, rank * step + Kokkos::min(rank, longer)); }
  KOKKOS_FUNCTION Index count(Index rank) const { return first(rank + 1) - first(rank); }
  Index largest() const { return step + (longer > 0 ? 1 : 0); }
  Range range(Index rank) const { return {first(rank), count(rank)}; }
};

/// The rows of one rank among [images * locations], of which it has some locations of every image: from `first` on
/// `count`. Own rows are image * count + location - first.
struct OwnRows {
  Index locations = 1, first = 0, count = 1;

  KOKKOS_FUNCTION Index row(Index own) const { return own / count * locations + first + own % count; }
  /// How many of them come before a row.
  KOKKOS_FUNCTION Index before(Index row) const {
    return row / locations * count + Kokkos::max<Index>(0, Kokkos::min(row % locations - first, count));
  }
  /// The number of a row among the own ones; -1 where it is none of them.
  KOKKOS_FUNCTION Index find(Index row) const {
    Index const location = row % locations - first;
    return location >= 0 && location < count ? row / locations * count + location : -1;
  }
};

/// The locations of some images, divided among a group of ranks: of every image a rank has the same share. Rows of a
/// rank are image * own() + its location, whole rows image * locations() + location.
struct SharedLocations {
  Communicator group;
  Index images = 0;
  Shares shares{};

  Index locations() const { return shares.extent; }
  Index own() const { return shares.count(group.rank()); }
  Index own_rows() const { return images * own(); }
  OwnRows rows() const { return {shares.extent, shares.first(group.rank()), own()}; }
  /// Locations of an image in a message, where every rank's share is as large as the largest.
  Index padded() const { return shares.largest(); }
  Index padded_rows() const { return images * padded(); }
};

}  // namespace dchag
