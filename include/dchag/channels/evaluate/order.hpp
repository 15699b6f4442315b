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

  /// Whether TokenSpace keeps its sums of tokens [h, D] a row: where they are few beside the patches.
  constexpr bool keeps_sums() const { return heads * embed * 4 <= channels * patch; }
  /// Whether TokenSpace sends the scores' gradient through the tokens: where there are fewer rows than pixels in a
  /// patch.
  constexpr bool scores_through_tokens() const { return rows < patch; }
};

/// Multiply-adds of one forward and backward pass: those of matrix products with extents of rows, features and pixels;
/// those of every head with every feature or pixel of a row; and those of passes over tokens, which wait for memory.
struct Operations {
  double products = 0, head_features = 0, head_pixels = 0, passes = 0;
  constexpr double total() const { return products + head_features + head_pixels + passes; }
};

constexpr Operations evaluation_operations(Order order, UnitSize const& size) {
  double const n = static_cast<double>(size.rows), c = static_cast<double>(size.channels),
               p = static_cast<double>(size.patch);
  double const d = static_cast<double>(size.embed), h = static_cast<double>(size.heads);
  double const once = 3 * c * p * d * h;  // r = u W, and back
  switch (order) {
    case Order::materialized:
      return {n * (c * (2 * p * d + 6 * d * d) + 3 * d * d), 0, 0, n * c * 6 * d};
    case Order::token_space: {
      double const sums = size.keeps_sums() ? 1 : 2, through_tokens = size.scores_through_tokens() ? 1 : 0;
      return {n * (c * 3 * p * d + 6 * d * d) + once * (1 - 2 * through_tokens / 3),
              n * c * (2 + sums + 2 * through_tokens) * h * d, n * c * (3 - through_tokens) * p * h, 0};
    }
    case Order::patch_space:
      return {n * (c * 3 * (p + 1) * d + 3 * d * d) + 3 * c * d * d * (p + 1) + once, 0, n * c * 5 * p * h, 0};
  }
  return {};
}

/// The time of evaluation_operations() in units of one multiply-add of a matrix product. The factors were fitted to the
/// times of benchmarks/order_choice on a CPU.
constexpr double evaluation_cost(Order order, UnitSize const& size) {
  Operations const operations = evaluation_operations(order, size);
  return operations.products + 2 * operations.head_features + 5 * operations.head_pixels + 30 * operations.passes;
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
