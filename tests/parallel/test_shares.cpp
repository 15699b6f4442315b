#include <doctest/doctest.h>

#include <algorithm>
#include <dchag/parallel/shares.hpp>

using dchag::Index;
using dchag::Shares;

TEST_CASE("shares follow each other, cover the extent and are none larger than the largest") {
  for (Index const extent : {0, 1, 2, 7, 8, 9, 40})
    for (Index const ranks : {1, 2, 3, 5, 8}) {
      CAPTURE(extent);
      CAPTURE(ranks);
      for (Shares const shares : {Shares::even(extent, ranks), Shares::padded(extent, ranks)}) {
        Index next = 0, largest = 0;
        for (Index rank = 0; rank < ranks; ++rank) {
          CHECK(shares.first(rank) == next);
          CHECK(shares.range(rank) == dchag::Range{next, shares.count(rank)});
          next += shares.count(rank);
          largest = std::max(largest, shares.count(rank));
        }
        CHECK(next == extent);
        CHECK(shares.largest() == largest);
        CHECK(largest == dchag::ceil_div(extent, ranks));
      }
    }
}

TEST_CASE("even shares differ by at most one, padded ones stand at multiples of the largest") {
  Shares const even = Shares::even(11, 4), padded = Shares::padded(9, 8);
  Index const sizes[] = {3, 3, 3, 2}, piece[] = {2, 2, 2, 2, 1, 0, 0, 0};
  for (Index rank = 0; rank < 4; ++rank) CHECK(even.count(rank) == sizes[rank]);
  for (Index rank = 0; rank < 8; ++rank) CHECK(padded.count(rank) == piece[rank]);
  for (Index rank = 0; rank < 5; ++rank) CHECK(padded.first(rank) == 2 * rank);
}

TEST_CASE("the locations of one rank alone are all of them") {
  dchag::SharedLocations const where{{}, 3, Shares::even(7, 1)};
  CHECK(where.own() == 7);
  CHECK(where.own_rows() == 21);
  CHECK(where.padded_rows() == 21);
}
