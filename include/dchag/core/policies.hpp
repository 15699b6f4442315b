#pragma once

#include <Kokkos_Core.hpp>
#include <concepts>
#include <dchag/core/products.hpp>
#include <type_traits>

namespace dchag {

/// What a policy decides. Every policy template names its role; a model takes at most one policy for each.
namespace role {
struct Partition;
struct Tree;
struct Join;
struct Evaluate;
struct Parallel;
struct Precision;
struct Recompute;
struct Missing;
struct Space;
}  // namespace role

/// A template argument of a model: Partition, Tree, Join, Evaluate, Parallel, Precision, Recompute, Missing or
/// Space.
template <class P>
concept Policy = requires {
  typename P::role;
};

namespace detail {

template <class... Policies>
constexpr bool distinct_roles() {
  if constexpr (sizeof...(Policies) < 2) {
    return true;
  } else {
    return []<class First, class... Rest>(std::type_identity<First>, std::type_identity<Rest>...) {
      return (!std::same_as<typename First::role, typename Rest::role> && ...) && distinct_roles<Rest...>();
    }(std::type_identity<Policies>()...);
  }
}

template <class Role, class Default, class... Policies>
struct Find {
  using type = Default;
};
template <class Role, class Default, class First, class... Rest>
struct Find<Role, Default, First, Rest...> {
  using type = typename std::conditional_t<std::same_as<typename First::role, Role>, std::type_identity<First>,
                                           Find<Role, Default, Rest...>>::type;
};

}  // namespace detail

/// No two policies with the same role.
template <class... Policies>
concept OnePolicyPerRole = detail::distinct_roles<Policies...>();

/// The policy with that role, wherever it stands in the list, or the default.
template <class Role, class Default, class... Policies>
using find_policy = typename detail::Find<Role, Default, Policies...>::type;

/// A scalar type that models are computed in.
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double>;

/// Parameters, activations, gradients and all sums are float, and so are storage, messages and checkpoints: those of a
/// model in float can be read, and the other way round. Large products round their operands to bfloat16 and add in
/// float; what loops multiply by themselves, on a host the attention of a thread too, stays in float.
///
/// On devices whose BLAS multiplies bfloat16 (cuBLAS, rocBLAS) that is faster; elsewhere it is emulated: the same
/// numbers, to the rounding of sums, in more time than float.
struct Mixed {};

template <class What>
concept PrecisionPolicy = Real<What> || std::same_as<What, Mixed>;

/// The scalar type of parameters, activations and gradients, and how their products are computed.
template <PrecisionPolicy What>
struct Precision {
  using role = role::Precision;
  static constexpr bool mixed = std::same_as<What, Mixed>;
  using Scalar = std::conditional_t<mixed, float, What>;
  static constexpr Products products = mixed ? Products::bfloat16 : Products::unrounded;
};

/// Where kernels run.
template <class Execution>
requires(Kokkos::is_execution_space_v<Execution>) struct Space {
  using role = role::Space;
  using execution_space = Execution;
};

/// What the forward pass does not keep, and the backward pass computes again.
struct Nothing {
  static constexpr bool blocks = false, front_end = false;
};
struct Blocks {
  static constexpr bool blocks = true, front_end = false;
};
struct Everything {
  static constexpr bool blocks = true, front_end = true;
};

template <class What>
concept RecomputePolicy = requires {
  { What::blocks } -> std::convertible_to<bool>;
  { What::front_end } -> std::convertible_to<bool>;
};

template <RecomputePolicy What>
struct Recompute {
  using role = role::Recompute;
  static constexpr bool blocks = What::blocks, front_end = What::front_end;
};

/// What a Linear unit does where an image lacks some of its tokens: out = bias + (n / n') sum of w_c t_c over the n' of
/// n tokens that are present, which tokens lost at random leave right on average (as dropout does); or an error. Where
/// a unit has none of its tokens, its own token is absent one level up, whatever this says.
struct Renormalize {
  static constexpr bool renormalizes = true;
};
struct Refuse {
  static constexpr bool renormalizes = false;
};

template <class What>
concept MissingPolicy = requires {
  { What::renormalizes } -> std::convertible_to<bool>;
};

template <MissingPolicy What>
struct Missing {
  using role = role::Missing;
  using policy = What;
};

}  // namespace dchag
