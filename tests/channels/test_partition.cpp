#include <doctest/doctest.h>

#include <algorithm>
#include <dchag/channels/automatic.hpp>
#include <dchag/channels/partition.hpp>
#include <dchag/channels/tree_shares.hpp>
#include <numeric>
#include <vector>

using namespace dchag;

namespace {
using Owners = std::vector<int>;

/// A user's own: the last rank gets the even channels, the first one the rest.
struct EvenToTheLast {
  static Owners owners(std::span<double const> costs, int ranks) {
    Owners owners(costs.size());
    for (std::size_t c = 0; c < owners.size(); ++c) owners[c] = c % 2 == 0 ? ranks - 1 : 0;
    return owners;
  }
};
struct BeyondTheLast {
  static Owners owners(std::span<double const> costs, int ranks) { return Owners(costs.size(), ranks); }
};
struct TooFew {
  static Owners owners(std::span<double const>, int) { return {0}; }
};

double largest_cost(Owners const& owners, std::vector<double> const& costs, int ranks) {
  std::vector<double> sums(static_cast<std::size_t>(ranks), 0.0);
  for (std::size_t c = 0; c < owners.size(); ++c) sums[static_cast<std::size_t>(owners[c])] += costs[c];
  return *std::max_element(sums.begin(), sums.end());
}

/// The smallest largest cost of any cut into neighbours, by trying all.
double best_cut(std::vector<double> const& costs, std::size_t begin, int ranks) {
  if (ranks == 1) return std::accumulate(costs.begin() + static_cast<std::ptrdiff_t>(begin), costs.end(), 0.0);
  double best = best_cut(costs, begin, 1), sum = 0;
  for (std::size_t end = begin; end < costs.size(); ++end) {
    sum += costs[end];
    best = std::min(best, std::max(sum, best_cut(costs, end + 1, ranks - 1)));
  }
  return best;
}
}  // namespace

TEST_CASE("Contiguous and Strided divide any number of channels among any number of ranks") {
  CHECK(channels::owners_of<Contiguous>(7, {}, 3) == Owners{0, 0, 0, 1, 1, 2, 2});
  CHECK(channels::owners_of<Strided>(7, {}, 3) == Owners{0, 1, 2, 0, 1, 2, 0});
  CHECK(channels::owners_of<Contiguous>(2, {}, 4) == Owners{0, 1});
  CHECK(channels::channels_of(channels::owners_of<Strided>(7, {}, 3), 0) == std::vector<Index>{0, 3, 6});
  CHECK(channels::channels_of({0, 1}, 3).empty());
  CHECK(channels::ranges_of({0, 1, 4, 6, 7}) == std::vector<Range>{{0, 2}, {4, 1}, {6, 2}});
}

TEST_CASE("Balanced finds the best cut into neighbours") {
  std::vector<double> const native{16, 16, 4, 4, 4, 4, 1, 1, 1, 1, 1, 1};
  for (auto const& costs : {native, {1, 1, 1, 9}, {9, 1, 1, 1}, {3, 3, 3}, {5}, {0, 0, 2, 0}, {2, 7, 1, 8, 2, 8, 1, 8}})
    for (int ranks = 1; ranks <= 5; ++ranks) {
      auto const owners = channels::owners_of<Balanced>(static_cast<Index>(costs.size()), costs, ranks);
      CHECK(std::is_sorted(owners.begin(), owners.end()));
      CHECK(largest_cost(owners, costs, ranks) == doctest::Approx(best_cut(costs, 0, ranks)).epsilon(1e-9));
    }
  CHECK_THROWS_WITH_AS(channels::owners_of<Balanced>(2, {1, -3}, 2),
                       "Balanced: the cost of a channel is -3: give zero or more", Error);
}

TEST_CASE("a user's own policy is taken, and what it answers is checked") {
  static_assert(PartitionPolicy<EvenToTheLast> && !PartitionPolicy<int>);
  CHECK(channels::owners_of<EvenToTheLast>(4, {}, 3) == Owners{2, 0, 2, 0});
  CHECK_THROWS_WITH_AS(channels::owners_of<BeyondTheLast>(4, {}, 3),
                       "Partition: the policy gives channel 0 to rank 3 of 3", Error);
  CHECK_THROWS_WITH_AS(channels::owners_of<TooFew>(4, {}, 3),
                       "Partition: the policy names owners of 1 channels where there are 4", Error);
  CHECK_THROWS_WITH_AS(channels::owners_of<Contiguous>(4, {1, 2}, 3),
                       "channel_costs has 2 values for 4 channels: give one for each, or none", Error);
}

TEST_CASE("units of one rank's tokens are its own, others are shared, and the last one always is") {
  // Channels 0..5 on ranks 0 0 0 1 1 2, in units {0 1} {2 3} {4 5}, then one.
  std::vector<std::vector<Index>> const begins{{0, 2, 4, 6}, {0, 3}};
  channels::TreeShares const first({0, 0, 0, 1, 1, 2}, begins, 0, 3), last({0, 0, 0, 1, 1, 2}, begins, 2, 3);
  auto const& units = first.levels[0].units;
  CHECK(first.levels[0].held == 3);
  CHECK((!units[0].shared && units[0].runs && units[0].count == 2 && units[0].result == 0));
  CHECK((units[1].shared && units[1].runs && units[1].count == 1 && units[1].first == 2 && units[1].result == 1));
  CHECK((units[2].shared && units[2].runs && units[2].count == 0 && units[2].result == -1 && units[2].owner == 1));
  CHECK(first.levels[1].held == 2);
  CHECK((first.levels[1].units[0].shared && first.levels[1].units[0].count == 2));
  CHECK(!last.levels[0].units[0].runs);
  CHECK(last.levels[0].held == 1);
  CHECK(last.levels[1].held == 0);
  channels::TreeShares const alone({0, 0}, {{0, 2}}, 0, 1);
  CHECK(!alone.levels[0].units[0].shared);
}

TEST_CASE("Auto joins by what moves fewer numbers") {
  static_assert(Auto::merges({4, 2, 512, 8}));         // 3 * 2 * 512 gathered, 1.5 * (512 + 16) merged
  static_assert(!Auto::merges({2, 1, 512, 8}));        // 512 gathered, 528 merged
  static_assert(Auto::merges({2, 1, 512, 0}));         // as many
  static_assert(Auto::merges({4, 2, 512, 8, true}));   // of own rows: 1.5 * 2 * 512 to and fro, 1.5 * (512 + 20)
  static_assert(!Auto::merges({4, 1, 512, 8, true}));  // 1.5 * 512
  static_assert(!Gather::merges({4, 9, 8, 2}) && Merge::merges({2, 1, 8, 2}));
}
