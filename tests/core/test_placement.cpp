#include <doctest/doctest.h>

#include <dchag/core/placement.hpp>
#include <vector>

using dchag::Index;
using dchag::Placement;

namespace {

using Runs = std::vector<std::vector<Index>>;  // {element of the whole, element held, length}

Runs runs_of(Placement const& placement, Index first, Index count) {
  Runs runs;
  placement.runs(first, count, [&](Index whole, Index held, Index length) { runs.push_back({whole, held, length}); });
  return runs;
}

}  // namespace

TEST_CASE("what every rank holds is one run") {
  CHECK(runs_of({}, 3, 5) == Runs{{3, 3, 5}});
  CHECK(runs_of(Placement::summed(), 0, 9) == Runs{{0, 0, 9}});
  CHECK(runs_of({}, 3, 0).empty());
}

TEST_CASE("ranges that follow each other, and whole rows, are one run") {
  CHECK(runs_of(Placement::divided(3, 4, 5, {{0, 2}, {2, 2}}), 0, 60) == Runs{{0, 0, 60}});
  CHECK(runs_of(Placement::divided(1, 9, 2, {{1, 2}, {3, 1}, {6, 1}}), 0, 8) == Runs{{2, 0, 6}, {12, 6, 2}});
  CHECK(runs_of(Placement::divided(2, 4, 1, {{2, 2}}), 0, 4) == Runs{{2, 0, 2}, {6, 2, 2}});
  CHECK(runs_of(Placement::divided(2, 4, 1, {{0, 1}, {3, 1}}), 0, 4) == Runs{{0, 0, 1}, {3, 1, 2}, {7, 3, 1}});
}

TEST_CASE("runs of any part are those of its elements one by one") {
  Placement const placement = Placement::divided(3, 11, 4, {{7, 2}, {0, 1}, {2, 3}});
  Index const held = 3 * 6 * 4;
  Index const entries[] = {7, 8, 0, 2, 3, 4};
  for (Index first = 0; first < held; first += 5)
    for (Index count = 0; first + count <= held; count += 3) {
      Index next = first;
      placement.runs(first, count, [&](Index whole, Index at, Index length) {
        CHECK(at == next);
        for (Index i = 0; i < length; ++i) {
          Index const element = at + i, out = element / 24, entry = element % 24 / 4, in = element % 4;
          CHECK(whole + i == (out * 11 + entries[entry]) * 4 + in);
        }
        next += length;
      });
      CHECK(next == first + count);
    }
}

TEST_CASE("a rank that holds nothing has no runs") {
  CHECK(runs_of(Placement::divided(3, 4, 5, {}), 0, 0).empty());
  CHECK(runs_of(Placement::divided(3, 4, 5, {{2, 0}}), 0, 0).empty());
}
