#pragma once

#include <concepts>
#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <string>

namespace dchag {

/// What a unit of the aggregation tree is built for: it reduces `tokens` tokens of `embed` features to one.
struct UnitShape {
  Index tokens, embed, heads;
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

}  // namespace dchag
