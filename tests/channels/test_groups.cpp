#include <doctest/doctest.h>

#include <dchag/channels/groups.hpp>

using dchag::Index;
using dchag::channels::Groups;

TEST_CASE("groups are contiguous, cover all tokens, and differ in size by at most one, the larger first") {
  for (Index tokens = 1; tokens <= 30; ++tokens)
    for (Index count = 1; count <= tokens; ++count) {
      Groups const groups{tokens, count};
      Index next = 0;
      for (Index g = 0; g < count; ++g) {
        REQUIRE(groups.begin(g) == next);
        REQUIRE(groups.size(g) == tokens / count + (g < tokens % count ? 1 : 0));
        for (Index t = next; t < next + groups.size(g); ++t) REQUIRE(groups.of(t) == g);
        next += groups.size(g);
      }
      CHECK(next == tokens);
      CHECK(groups.begin(count) == tokens);
    }
}
