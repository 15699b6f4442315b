#pragma once

#include <dchag/channels/evaluate/order.hpp>
#include <dchag/channels/join.hpp>

namespace dchag {

/// For Evaluate the cheapest order by evaluation_cost(), for Join what moves fewer numbers.
struct Auto {
  static constexpr bool allows(Order) { return true; }
  static constexpr Order choose(UnitSize const& size) {
    Order best = all_orders[0];
    for (Order order : all_orders)
      if (evaluation_cost(order, size) < evaluation_cost(best, size)) best = order;
    return best;
  }
  static constexpr bool merges(JoinSize const& size) { return merged_numbers(size) <= gathered_numbers(size); }
};

}  // namespace dchag
