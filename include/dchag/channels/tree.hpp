#pragma once

#include <concepts>
#include <dchag/channels/units/cross_attention.hpp>
#include <dchag/channels/units/linear.hpp>
#include <dchag/channels/units/unit.hpp>
#include <dchag/core/policies.hpp>
#include <string>
#include <tuple>

namespace dchag {

/// A level of `count` groups, each reduced by one weight a token and a bias.
template <Index count>
struct Linear {
  static constexpr char const* name = "linear";
  static constexpr Index groups = count;
  template <class T, class Space>
  using Unit = channels::LinearUnit<T, Space>;
};

/// A level of `count` groups, each reduced by the attention of one learned query.
template <Index count>
struct CrossAttention {
  static constexpr char const* name = "cross_attention";
  static constexpr Index groups = count;
  template <class T, class Space>
  using Unit = channels::CrossAttentionUnit<T, Space>;
};

/// A level of the aggregation: its name in configurations, how many groups, and the unit (see TokenUnit) that reduces
/// each. Users write their own.
template <class L>
concept TreeLevel = requires {
  { L::name } -> std::convertible_to<std::string>;
  { L::groups } -> std::convertible_to<Index>;
}
&&(L::groups > 0) &&
    TokenUnit<typename L::template Unit<float, Kokkos::DefaultExecutionSpace>, float, Kokkos::DefaultExecutionSpace>;

template <class... Levels>
concept EndsInOneGroup =
    sizeof...(Levels) > 0 && std::tuple_element_t<sizeof...(Levels) - 1, std::tuple<Levels...>>::groups == 1;

/// The aggregation of channels to one token a location, level by level. Level l splits the tokens it gets into its
/// groups, contiguous and of sizes that differ by at most one; the last level has one group. Tree<CrossAttention<1>> is
/// flat.
template <TreeLevel... Levels>
requires EndsInOneGroup<Levels...>
struct Tree {
  using role = role::Tree;
  using levels = std::tuple<Levels...>;
  static constexpr std::size_t depth = sizeof...(Levels);
};

}  // namespace dchag
