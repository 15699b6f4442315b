#include <doctest/doctest.h>

#include <dchag/channels/tree.hpp>

using namespace dchag;

namespace {
struct Nothing1 {
  static constexpr char const* name = "nothing";
  static constexpr Index groups = 1;
};
template <class... L>
concept MakesTree = requires {
  typename Tree<L...>;
};
}  // namespace

TEST_CASE("a tree takes levels of any depth that end in one group, and nothing else") {
  static_assert(TreeLevel<Linear<4>> && TreeLevel<CrossAttention<1>>);
  static_assert(!TreeLevel<int> && !TreeLevel<Nothing1>);
  static_assert(!TreeLevel<Linear<0>>);
  static_assert(MakesTree<CrossAttention<1>>);
  static_assert(MakesTree<Linear<9>, CrossAttention<5>, Linear<2>, CrossAttention<1>>);
  static_assert(!MakesTree<Linear<2>>);
  static_assert(!MakesTree<>);
  static_assert(!MakesTree<Linear<2>, int, Linear<1>>);
  CHECK(Tree<Linear<3>, CrossAttention<1>>::depth == 2);
}
