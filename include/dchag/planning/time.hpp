#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/core/error.hpp>
#include <dchag/planning/machine.hpp>
#include <dchag/planning/plan.hpp>
#include <string_view>
#include <vector>

namespace dchag {

/// Seconds of a planned step.
struct PlannedTime {
  double products = 0, loops = 0;  // kernels
  double communication = 0;        // all collectives
  double without_overlap = 0;      // one after the other
  double with_overlap = 0;         // collectives that are started go on while kernels run, one at a time
  double step = 0;                 // what the machine does of the two

  double compute() const { return products + loops; }
};

namespace detail {

/// Bytes that a rank sends and steps that one waits for, of a collective among n ranks: rings (Thakur, Rabenseifner and
/// Gropp, 2005) of large messages, trees of small ones.
struct CollectiveCost {
  double bytes, steps;
};
inline CollectiveCost collective_cost(std::string_view verb, int ranks, double bytes) {
  double const n = ranks, once = (n - 1) / n, steps = std::ceil(std::log2(n));
  if (verb == "all_reduce") return {2 * once * bytes, 2 * steps};
  if (verb == "all_gather") return {(n - 1) * bytes, steps};
  if (verb == "broadcast") return {bytes, steps};
  if (verb == "barrier") return {0, steps};
  return {once * bytes, steps};  // reduce_scatter, all_to_all
}

/// Seconds of a collective: over the network where its ranks are on several nodes, each of which sends with the share
/// of all its ranks that take part.
inline double collective_seconds(Machine const& machine, std::string_view verb, RankGroup const& group, double bytes) {
  CollectiveCost const cost = collective_cost(verb, group.count, bytes);
  bool const one_node = (group.count - 1) * group.stride < machine.ranks_a_node || machine.nodes == 1;
  if (one_node) return cost.steps * machine.node.latency + cost.bytes / machine.node.bandwidth;
  int const together = std::max(1, std::min(group.count, machine.ranks_a_node / group.stride));
  double const bandwidth = std::min(machine.node.bandwidth, machine.network.bandwidth * together);
  return cost.steps * machine.network.latency + cost.bytes / bandwidth;
}

/// Until the operands have arrived, from the cache where they fit it.
inline double moving_seconds(Machine const& machine, WorkItem const& item) {
  bool const cached = machine.cache > 0 && item.bytes <= machine.cache;
  return item.bytes / (cached ? machine.cache_bandwidth : machine.bandwidth);
}

inline double loop_seconds(Machine const& machine, Plan const& plan, WorkItem const& item) {
  double const rate = plan.scalar == 8 ? machine.loop_rate / 2 : machine.loop_rate;
  return machine.launch + std::max(moving_seconds(machine, item), item.multiply_adds / rate);
}

/// A device brings operands while it multiplies; a host's BLAS copies them first.
inline double product_seconds(Machine const& machine, Plan const& plan, WorkItem const& item) {
  double const side = static_cast<double>(std::min({item.rows, item.inner, item.columns}));
  double const rate = item.rounded       ? machine.bfloat16_rate
                      : plan.scalar == 8 ? machine.double_rate
                                         : machine.float_rate;
  double const multiplying = item.multiply_adds / rate * (1 + machine.half_side / side);
  double const moving = moving_seconds(machine, item);
  if (machine.device) return static_cast<double>(item.launches) * machine.launch + std::max(moving, multiplying);
  return machine.launch + moving + multiplying;
}

inline double kernel_seconds(Machine const& machine, Plan const& plan, WorkItem const& item) {
  return item.kind == WorkItem::Kind::product ? product_seconds(machine, plan, item)
                                              : loop_seconds(machine, plan, item);
}

}  // namespace detail

/// The time of a planned step on a machine: each product at the rate of its shortest side, or as fast as its operands
/// arrive, each loop as fast as its operands arrive or at the rate of loops, each collective by bandwidth and latency
/// of its link. Ranks that have to share a device take turns. Throws where the machine has no figure for the plan's
/// numbers.
inline PlannedTime planned_time(Plan const& plan, Machine const& machine) {
  machine.check();
  require(plan.scalar != 8 || machine.double_rate > 0, "machine ", machine.name,
          ": double_gflops = 0, and the model computes in double: give it, or plan in float");
  auto const& items = plan.work.items();
  bool const rounded = std::any_of(items.begin(), items.end(), [](WorkItem const& item) { return item.rounded; });
  require(machine.bfloat16_rate > 0 || !rounded, "machine ", machine.name,
          ": bfloat16_gflops = 0, and the plan is of mixed precision: give it, or plan in float");
  double const sharing = machine.sharing(plan.ranks);
  PlannedTime time;
  double now = 0, link = 0;  // when kernels and collectives come to an end, where they overlap
  std::vector<double> done(items.size());
  for (std::size_t i = 0; i < done.size(); ++i) {
    WorkItem const& item = items[i];
    if (item.kind == WorkItem::Kind::wait) {
      now = std::max(now, done[item.of]);
    } else if (item.kind == WorkItem::Kind::product || item.kind == WorkItem::Kind::loop) {
      double const seconds = sharing * detail::kernel_seconds(machine, plan, item);
      (item.kind == WorkItem::Kind::product ? time.products : time.loops) += seconds;
      now += seconds;
    } else {
      double const seconds = sharing * detail::collective_seconds(machine, item.name, item.group, item.bytes);
      time.communication += seconds;
      done[i] = link = std::max(now, link) + seconds;
      if (item.kind == WorkItem::Kind::verb) now = link;
    }
  }
  time.without_overlap = time.compute() + time.communication;
  time.with_overlap = std::max(now, link);
  time.step = machine.overlaps ? time.with_overlap : time.without_overlap;
  return time;
}

}  // namespace dchag
