#pragma once

#include <algorithm>
#include <concepts>
#include <dchag/channels/groups.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/placement.hpp>
#include <dchag/core/policies.hpp>
#include <dchag/core/types.hpp>
#include <span>
#include <vector>

namespace dchag {

/// The owner of a channel that every rank has.
inline constexpr int every_rank = -1;

/// Which rank of a replica owns each channel: owners(costs, ranks) answers a rank for each of costs.size() channels,
/// the same on every rank, or every_rank for all of them. The costs, one a channel, say how much work a channel is;
/// they are alike where nothing is known. A rank may own nothing.
template <class P>
concept PartitionPolicy = requires(std::span<double const> costs, int ranks) {
  { P::owners(costs, ranks) } -> std::same_as<std::vector<int>>;
};

/// Neighbouring channels together; the ranks' numbers of channels differ by at most one.
struct Contiguous {
  static std::vector<int> owners(std::span<double const> costs, int ranks) {
    channels::Groups const groups{static_cast<Index>(costs.size()), ranks};
    std::vector<int> owners(costs.size());
    for (std::size_t c = 0; c < owners.size(); ++c) owners[c] = static_cast<int>(groups.of(static_cast<Index>(c)));
    return owners;
  }
};

/// Every ranks-th channel.
struct Strided {
  static std::vector<int> owners(std::span<double const> costs, int ranks) {
    std::vector<int> owners(costs.size());
    for (std::size_t c = 0; c < owners.size(); ++c) owners[c] = static_cast<int>(c % static_cast<std::size_t>(ranks));
    return owners;
  }
};

/// Neighbouring channels together, such that the largest cost of a rank is as small as it can be.
struct Balanced {
  static std::vector<int> owners(std::span<double const> costs, int ranks) {
    double low = 0, high = 0;
    for (double cost : costs) {
      require(cost >= 0, "Balanced: the cost of a channel is ", cost, ": give zero or more");
      low = std::max(low, cost);
      high += cost;
    }
    for (int halving = 0; halving < 60; ++halving) {  // of the interval that holds the smallest largest cost
      double const middle = (low + high) / 2;
      (fill(costs, middle).back() < ranks ? high : low) = middle;
    }
    return fill(costs, high);
  }

 private:
  /// Rank after rank takes channels while its cost stays within `most`.
  static std::vector<int> fill(std::span<double const> costs, double most) {
    std::vector<int> owners(costs.size());
    double cost = 0;
    int rank = 0;
    for (std::size_t c = 0; c < owners.size(); ++c) {
      if (cost > 0 && cost + costs[c] > most) {
        ++rank;
        cost = 0;
      }
      cost += costs[c];
      owners[c] = rank;
    }
    return owners;
  }
};

/// Channels are not divided: every rank reads and tokenizes all of them, and computes the whole front end. Where this
/// is flat attention evaluated as Materialized, each rank computes its own heads, and the ranks sum the results forward
/// and the tokens' gradients backward: plain tensor parallelism (Megatron-LM, arXiv 1909.08053), which D-CHAG was
/// published against and is measured against here.
struct Everywhere {
  static std::vector<int> owners(std::span<double const> costs, int) {
    return std::vector<int>(costs.size(), every_rank);
  }
};

template <PartitionPolicy P>
struct Partition {
  using role = role::Partition;
  using policy = P;
};

namespace channels {

/// Whether every rank has all channels.
inline bool everywhere(std::vector<int> const& owners) { return !owners.empty() && owners.front() == every_rank; }

/// What the policy answers, checked. `costs` may be empty: all channels alike.
template <PartitionPolicy P>
std::vector<int> owners_of(Index channels, std::vector<double> costs, int ranks) {
  require(channels > 0, "channels = ", channels, ": an image has at least one");
  if (costs.empty()) costs.assign(static_cast<std::size_t>(channels), 1.0);
  require(static_cast<Index>(costs.size()) == channels, "channel_costs has ", costs.size(), " values for ", channels,
          " channels: give one for each, or none");
  std::vector<int> owners = P::owners(costs, ranks);
  require(static_cast<Index>(owners.size()) == channels, "Partition: the policy names owners of ", owners.size(),
          " channels where there are ", channels);
  if (std::all_of(owners.begin(), owners.end(), [](int owner) { return owner == every_rank; })) return owners;
  for (std::size_t c = 0; c < owners.size(); ++c)
    require(owners[c] >= 0 && owners[c] < ranks, "Partition: the policy gives channel ", c, " to rank ", owners[c],
            " of ", ranks);
  return owners;
}

/// The channels of a rank, ascending.
inline std::vector<Index> channels_of(std::vector<int> const& owners, int rank) {
  std::vector<Index> own;
  for (std::size_t c = 0; c < owners.size(); ++c)
    if (owners[c] == rank || owners[c] == every_rank) own.push_back(static_cast<Index>(c));
  return own;
}

/// Ascending entries as ranges of neighbours.
inline std::vector<Range> ranges_of(std::vector<Index> const& entries) {
  std::vector<Range> ranges;
  for (Index entry : entries)
    if (!ranges.empty() && ranges.back().begin + ranges.back().count == entry)
      ++ranges.back().count;
    else
      ranges.push_back({entry, 1});
  return ranges;
}

}  // namespace channels
}  // namespace dchag
