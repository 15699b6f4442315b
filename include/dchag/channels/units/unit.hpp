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
///   Unit(Parameters<T, Space>&, std::string const& prefix, UnitShape)   adds its parameters under the prefix
///   kept_per_row()                                     numbers a row that forward leaves for backward in `kept`
///   prepare(context)                                   once before the tiles of a batch; may push on the workspace
///   forward(context, tiling, tokens, kept, out)        tokens [n, D, pitch], kept [kept_per_row, pitch], out [D,
///   pitch] backward(context, tiling, tokens, kept, gradient, token_gradients)
///                                                      gradient [D, pitch]; writes token_gradients [n, D, pitch]; adds
///                                                      to the parameters' gradients, or to sums that finish adds to
///                                                      them
///   finish(context)                                    once after the tiles of the backward pass
template <class U, class T, class Space>
concept TokenUnit = std::constructible_from < U,
        Parameters<T, Space>
&, std::string const&,
    UnitShape > &&requires(U unit, U const& fixed, Context<Space> const& context, Tiling const& tiling, T const* input,
                           T* output) {
  { fixed.kept_per_row() } -> std::convertible_to<Index>;
  unit.prepare(context);
  unit.forward(context, tiling, input, output, output);
  unit.backward(context, tiling, input, input, input, output);
  unit.finish(context);
};

}  // namespace dchag
