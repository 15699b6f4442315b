#pragma once

#include <concepts>
#include <cstddef>
#include <dchag/core/policies.hpp>
#include <type_traits>

namespace dchag {

// How the ranks of a mesh share the work: one strategy for the model axis and one for the shard axis, each a type whose
// member `axis` says which. A user's own strategy is another such type.
struct ModelAxis {};
struct ShardAxis {};

/// A strategy of the model axis: how the ranks of a replica share the transformer.
template <class S>
concept ModelStrategy = std::same_as<typename S::axis, ModelAxis>;

/// A strategy of the shard axis: what its ranks hold once between them instead of once each. Its members say what:
/// `state` of the optimizer, `gradients`, `values`.
template <class S>
concept ShardStrategy = std::same_as<typename S::axis, ShardAxis> && requires {
  { S::state } -> std::convertible_to<bool>;
  { S::gradients } -> std::convertible_to<bool>;
  { S::values } -> std::convertible_to<bool>;
};

/// Heads and hidden features are divided; every rank has all locations.
struct Tensor {
  using axis = ModelAxis;
};
/// Heads and hidden features are divided; between their products, rows are: what Tensor holds and computes on every
/// rank (residual stream, norms) is held and computed once.
struct TensorSequence {
  using axis = ModelAxis;
};
/// Locations are divided; every rank has all weights.
struct Sequence {
  using axis = ModelAxis;
};
/// Every rank computes the whole transformer.
struct Replicated {
  using axis = ModelAxis;
};

/// ZeRO 1: the optimizer state is divided.
struct OptimizerShard {
  using axis = ShardAxis;
  static constexpr bool state = true, gradients = false, values = false;
};
/// ZeRO 2: the gradients too.
struct GradientShard {
  using axis = ShardAxis;
  static constexpr bool state = true, gradients = true, values = false;
};
/// ZeRO 3: the parameters too.
struct FullShard {
  using axis = ShardAxis;
  static constexpr bool state = true, gradients = true, values = true;
};
/// Nothing is divided: the shard axis is one more data axis.
struct Unsharded {
  using axis = ShardAxis;
  static constexpr bool state = false, gradients = false, values = false;
};

namespace detail {

template <class S, class Axis>
inline constexpr bool is_on_axis = requires {
  requires std::same_as<typename S::axis, Axis>;
};

/// The strategy of an axis among S, or the default where there is none.
template <class Axis, class Default, class... S>
struct StrategyOf {
  using type = Default;
};
template <class Axis, class Default, class First, class... Rest>
struct StrategyOf<Axis, Default, First, Rest...>
    : std::conditional_t<is_on_axis<First, Axis>, std::type_identity<First>, StrategyOf<Axis, Default, Rest...>> {};

template <class Axis, class... S>
inline constexpr std::size_t on_axis = (std::size_t{0} + ... + (is_on_axis<S, Axis> ? 1 : 0));

}  // namespace detail

/// How ranks share the work, in any order: at most one strategy for the model axis (Tensor where none is named) and one
/// for the shard axis (Unsharded).
template <class... S>
struct Parallel {
  static_assert(
      ((ModelStrategy<S> || ShardStrategy<S>)&&...),
      "Parallel<...> takes strategies only: Tensor, TensorSequence, Sequence or Replicated for the model axis; "
      "OptimizerShard, GradientShard, FullShard or Unsharded for the shard axis");
  static_assert(detail::on_axis<ModelAxis, S...> <= 1,
                "Parallel<...> names two strategies for the model axis: leave one of them");
  static_assert(detail::on_axis<ShardAxis, S...> <= 1,
                "Parallel<...> names two strategies for the shard axis: leave one of them");

  using role = role::Parallel;
  using Model = typename detail::StrategyOf<ModelAxis, Tensor, S...>::type;
  using Shard = typename detail::StrategyOf<ShardAxis, Unsharded, S...>::type;
};

}  // namespace dchag
