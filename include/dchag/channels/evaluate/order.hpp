#pragma once

#include <concepts>
#include <dchag/core/policies.hpp>
#include <dchag/core/types.hpp>

namespace dchag {

/// The orders in which a CrossAttention unit over channels can be evaluated (channel-math.md, section 2).
enum class Order { materialized, token_space, patch_space };
inline constexpr Order all_orders[] = {Order::patch_space, Order::token_space, Order::materialized};

/// One CrossAttention unit over channels: rows N, channels c, patch pixels P, features D, heads h.
struct UnitSize {
  Index rows, channels, patch, embed, heads;
};

/// Multiply-adds of one forward and backward pass: those in large matrix products, and those in products that are only
/// as wide as there are heads.
struct Operations {
  double products = 0, narrow = 0;
  constexpr double total() const { return products + narrow; }
};

constexpr Operations evaluation_operations(Order order, UnitSize const& size) {
  double const n = static_cast<double>(size.rows), c = static_cast<double>(size.channels),
               p = static_cast<double>(size.patch);
  double const d = static_cast<double>(size.embed), h = static_cast<double>(size.heads);
  double const once = 3 * c * p * d * h;  // r = u W, and back
  switch (order) {
    case Order::materialized:
      return {n * (c * (2 * p * d + 6 * d * d) + 3 * d * d), n * c * 6 * d};
    case Order::token_space: {
      double const sums =
          size.heads * size.embed * 4 <= size.channels * size.patch ? 1 : 2;  // formed again where not kept
      double const through_tokens = size.rows < size.patch ? 1 : 0;           // the scores' part of dt
      return {n * (c * 3 * p * d + 6 * d * d),
              n * c * ((2 + sums + 2 * through_tokens) * h * d + (3 - through_tokens) * p * h) +
                  once * (1 - 2 * through_tokens / 3)};
    }
    case Order::patch_space:
      return {n * (c * 3 * (p + 1) * d + 3 * d * d) + 3 * c * d * d * (p + 1), n * c * 5 * p * h + once};
  }
  return {};
}

/// The time of evaluation_operations() in units of one multiply-add of a large matrix product. Products as wide as the
/// heads, and passes over tiles, run slower; the factors were fitted to benchmarks/front_end.
constexpr double evaluation_cost(Order order, UnitSize const& size) {
  Operations const operations = evaluation_operations(order, size);
  return operations.products + 2.5 * operations.narrow;
}

/// An order fixed at compile time: no other is compiled.
template <Order order>
struct FixedOrder {
  static constexpr bool allows(Order other) { return other == order; }
  static constexpr Order choose(UnitSize const&) { return order; }
};
struct Materialized : FixedOrder<Order::materialized> {};
struct TokenSpace : FixedOrder<Order::token_space> {};
struct PatchSpace : FixedOrder<Order::patch_space> {};

/// The cheapest by evaluation_cost().
struct Auto {
  static constexpr bool allows(Order) { return true; }
  static constexpr Order choose(UnitSize const& size) {
    Order best = all_orders[0];
    for (Order order : all_orders)
      if (evaluation_cost(order, size) < evaluation_cost(best, size)) best = order;
    return best;
  }
};

/// Says which orders are compiled (a constant), and which of them a unit of that size is evaluated in.
template <class O>
concept EvaluationOrder = requires(Order order, UnitSize const& size) {
  { O::allows(order) } -> std::convertible_to<bool>;
  { O::choose(size) } -> std::same_as<Order>;
};

template <EvaluationOrder O>
struct Evaluate {
  using role = role::Evaluate;
  using order = O;
};

}  // namespace dchag
