#pragma once

#include <cstddef>
#include <dchag/channels/groups.hpp>
#include <dchag/core/types.hpp>
#include <vector>

namespace dchag::channels {

/// One unit of a level as one rank of a replica sees it.
struct UnitPlace {
  Index begin = 0;             // its first token among all of the level
  Index first = 0, count = 0;  // of its tokens those that this rank holds, among all that this rank holds in the level
  bool shared = false;         // tokens of several ranks, or the last unit: evaluated by all ranks together
  bool runs = false;           // this rank takes part
  int owner = 0;               // the rank that holds the result
  Index result = -1;           // where among the tokens that this rank holds in the next level; -1: not held
  std::vector<int> holders;    // of its tokens
};

/// Where the tokens of each unit of a level begin, [units + 1], among the tokens that go into the first of `levels`
/// levels, of which it is the last.
inline std::vector<Index> begins_of(Groups const* levels, std::size_t count) {
  std::vector<Index> begins;
  for (Index unit = 0; unit <= levels[count - 1].groups; ++unit) {
    Index token = unit;
    for (std::size_t level = count; level-- > 0;) token = levels[level].begin(token);
    begins.push_back(token);
  }
  return begins;
}

/// Which rank of a replica holds which tokens of the tree, level by level. The tree is the model's: a unit that has the
/// tokens of one rank is that rank's, every other is shared, and its result is the first token's holder's. The result
/// of the last unit goes to every rank.
struct TreeShares {
  struct Level {
    Index held = 0;             // tokens that this rank holds
    std::vector<Index> tokens;  // which they are, among all of the level
    std::vector<UnitPlace> units;
  };
  std::vector<Level> levels;

  TreeShares() = default;

  /// `owners` of the channels; begins[l] [units + 1]: where the tokens of each unit of level l begin.
  TreeShares(std::vector<int> owners, std::vector<std::vector<Index>> const& begins, int rank, int ranks) {
    for (auto const& begin : begins) {
      Level level;
      std::vector<int> results;
      Index results_held = 0;
      for (std::size_t g = 0; g + 1 < begin.size(); ++g) {
        UnitPlace unit;
        unit.holders.assign(owners.begin() + begin[g], owners.begin() + begin[g + 1]);
        unit.owner = unit.holders.front();
        unit.begin = begin[g];
        unit.first = level.held;
        unit.shared = ranks > 1 && &begin == &begins.back();
        for (std::size_t t = 0; t < unit.holders.size(); ++t) {
          if (unit.holders[t] == rank) level.tokens.push_back(begin[g] + static_cast<Index>(t));
          unit.shared |= unit.holders[t] != unit.owner;
        }
        unit.count = static_cast<Index>(level.tokens.size()) - level.held;
        unit.runs = unit.shared || unit.owner == rank;
        if (unit.owner == rank) unit.result = results_held++;
        level.held += unit.count;
        results.push_back(unit.owner);
        level.units.push_back(std::move(unit));
      }
      owners = std::move(results);
      levels.push_back(std::move(level));
    }
  }
};

}  // namespace dchag::channels
