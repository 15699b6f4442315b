#pragma once

#include <concepts>
#include <dchag/core/policies.hpp>
#include <dchag/core/types.hpp>

namespace dchag {

/// A unit of the tree whose tokens several ranks hold: the ranks of the replica, the most tokens that one of them
/// holds, features D, heads h (none for a Linear unit), and whether each rank gets the result of its own rows alone.
struct JoinSize {
  int ranks;
  Index tokens, embed, heads;
  bool own_rows = false;
};

/// Every rank gets all tokens of the unit by one all-gather, and computes the unit whole; the backward pass moves
/// nothing. As published. Where each rank is to have its own rows alone, it gets the tokens of these by an all-to-all,
/// and gives their gradients back so.
struct Gather {
  static constexpr bool merges(JoinSize const&) { return false; }
};

/// Every rank reduces its own tokens; the sums (for attention with the maximum and the normalizer of each head) are
/// merged by all-reduce, whatever the number of tokens. Where each rank is to have its own rows alone, by
/// reduce-scatter, and the gradients of the rows are gathered in the backward pass.
struct Merge {
  static constexpr bool merges(JoinSize const&) { return true; }
};

/// Numbers that a rank receives for a row, forward and backward: an all-reduce as reduce-scatter and all-gather.
constexpr double gathered_numbers(JoinSize const& size) {
  double const tokens = static_cast<double>((size.ranks - 1) * size.tokens * size.embed);
  return size.own_rows ? 2 * tokens / size.ranks : tokens;
}
constexpr double merged_numbers(JoinSize const& size) {
  return 2.0 * (size.ranks - 1) / size.ranks *
         static_cast<double>(size.embed + (size.own_rows ? 5 * size.heads / 2 : 2 * size.heads));
}

/// Says whether the ranks merge what they reduced (or gather tokens) in a unit of that size.
template <class J>
concept JoinPolicy = requires(JoinSize const& size) {
  { J::merges(size) } -> std::convertible_to<bool>;
};

template <JoinPolicy J>
struct Join {
  using role = role::Join;
  using policy = J;
};

}  // namespace dchag
