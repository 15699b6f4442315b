#pragma once

#include <concepts>
#include <dchag/channels/joint.hpp>
#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <string>
#include <vector>

namespace dchag {

/// What a unit of the aggregation tree is built for: it reduces `tokens` tokens of `embed` features to one.
struct UnitShape {
  Index tokens, embed, heads;
};

/// Who holds the tokens of a unit that is evaluated by all ranks of a replica together.
template <class T, class Space>
struct UnitShare {
  channels::Joint<T, Space> joint;  // with all ranks of the replica, also those that hold none of the tokens
  std::vector<int> holders;         // of each token the rank that holds it

  /// The tokens that this rank holds, ascending.
  std::vector<Index> tokens() const {
    std::vector<Index> own;
    for (std::size_t t = 0; t < holders.size(); ++t)
      if (holders[t] == joint.group().rank()) own.push_back(static_cast<Index>(t));
    return own;
  }
  /// Whether this rank, and no other, adds what is to be added once.
  bool leads() const { return holders.front() == joint.group().rank(); }
};

/// Which of its tokens a unit has in each row of a tile, where images lack channels. Null: all of them.
template <class T>
struct PresentTokens {
  T const* factor = nullptr;  // [n, pitch] of the n tokens that the unit is given: 0 where absent, else tokens of the
                              // unit, on all ranks, over those of them that the row has

  /// The same of the columns of a tile from the n-th on.
  PresentTokens from_column(Index n) const { return factor == nullptr ? *this : PresentTokens{factor + n}; }
};

/// A unit of the aggregation tree over tokens, for one tile of rows at a time (channels/tile.hpp):
/// - Unit(parameters, prefix, shape) adds its parameters, under names that begin with the prefix;
/// - kept_per_row() is how many numbers a row forward leaves for backward in `kept`;
/// - prepare(context) comes once before the tiles of a batch, and may push on the workspace;
/// - forward(context, tiling, tokens, kept, out) reads tokens [n, D, pitch] and writes kept [kept_per_row, pitch] and
///   out [D, pitch];
/// - backward(context, tiling, tokens, kept, gradient, token_gradients) reads the gradient [D, pitch] of out, writes
///   token_gradients [n, D, pitch], and adds to the gradients of the parameters, or to sums that finish() adds to them;
/// - finish(context) comes once after the tiles of the backward pass.
template <class U, class T, class Space>
concept TokenUnit = requires(U unit, U const& fixed, Parameters<T, Space>& parameters, std::string const& prefix,
                             UnitShape shape, Context<Space> const& context, Tiling const& tiling, T const* input,
                             T* output) {
  U(parameters, prefix, shape);
  { fixed.kept_per_row() } -> std::convertible_to<Index>;
  unit.prepare(context);
  unit.forward(context, tiling, input, output, output);
  unit.backward(context, tiling, input, input, input, output);
  unit.finish(context);
};

/// A unit that works where tokens are absent: forward and backward take a PresentTokens as last argument. Absent tokens
/// are finite numbers without meaning; they change neither out nor the gradients, and their own gradient is zero. Rows
/// that have none of the unit's tokens get any finite numbers for out, and come back with a gradient of zero. Any other
/// unit refuses images that lack some of its tokens.
template <class U, class T, class Space>
concept PartialUnit = TokenUnit<U, T, Space> && requires(U unit, Context<Space> const& context, Tiling const& tiling,
                                                         T const* input, T* output, PresentTokens<T> const& present) {
  unit.forward(context, tiling, input, output, output, present);
  unit.backward(context, tiling, input, input, input, output, present);
};

/// A unit that the ranks of a replica can evaluate between them: after share(), forward and backward get this rank's
/// tokens alone, out is the result of all ranks' tokens on every rank, the gradient is the same on every rank, and the
/// gradients of the parameters add up over the ranks. Other units get their tokens gathered.
template <class U, class T, class Space>
concept SharedUnit = TokenUnit<U, T, Space> && requires(U unit, UnitShare<T, Space> const& share) {
  unit.share(share);
};

}  // namespace dchag
