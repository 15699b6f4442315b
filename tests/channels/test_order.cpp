#include <doctest/doctest.h>

#include <dchag/channels/evaluate/attention_leaf.hpp>
#include <string>

#include "space.hpp"

using namespace dchag;

namespace {
constexpr UnitSize small_patches{512, 80, 4, 512, 8}, large_patches{64, 500, 256, 512, 8};

/// A user's own choice, made when the rows are known.
struct ByRows {
  static constexpr bool allows(Order order) { return order != Order::materialized; }
  static Order choose(UnitSize const& size) {
    return size.rows > 100 ? Order::token_space : size.rows > 10 ? Order::patch_space : Order::materialized;
  }
};
}  // namespace

TEST_CASE("small patches are evaluated in patch space, few rows of large ones in token space") {
  static_assert(Auto::choose(small_patches) == Order::patch_space);
  static_assert(Auto::choose(large_patches) == Order::token_space);
  static_assert(Auto::choose({256, 500, 64, 512, 8}) == Order::token_space);
  static_assert(Auto::choose({256, 16, 64, 128, 16}) == Order::token_space);
  static_assert(Auto::choose({256, 128, 16, 128, 4}) == Order::token_space);
  static_assert(Auto::choose({32, 128, 4, 128, 16}) == Order::patch_space);
  CHECK(evaluation_cost(Order::materialized, small_patches) > 40 * evaluation_cost(Order::patch_space, small_patches));
}

TEST_CASE("a named order is the one that is taken, and the only one compiled") {
  for (UnitSize const& size : {small_patches, large_patches}) {
    CHECK(Materialized::choose(size) == Order::materialized);
    CHECK(TokenSpace::choose(size) == Order::token_space);
    CHECK(PatchSpace::choose(size) == Order::patch_space);
  }
  static_assert(PatchSpace::allows(Order::patch_space) && !PatchSpace::allows(Order::token_space));
  static_assert(Auto::allows(Order::materialized));
}

TEST_CASE("Auto takes the order of the lowest cost, and costs grow with every size") {
  for (Index rows : {16, 300, 5000})
    for (Index channels : {3, 80, 500})
      for (Index patch : {1, 16, 256})
        for (Index embed : {64, 512})
          for (Index heads : {1, 8}) {
            UnitSize const size{rows, channels, patch, embed, heads};
            for (Order order : all_orders) {
              double const cost = evaluation_cost(order, size);
              CHECK(cost >= evaluation_cost(Auto::choose(size), size));
              CHECK(evaluation_cost(order, {2 * rows, channels, patch, embed, heads}) > cost);
              CHECK(evaluation_cost(order, {rows, 2 * channels, patch, embed, heads}) > cost);
              CHECK(evaluation_cost(order, {rows, channels, patch, 2 * embed, heads}) > cost);
            }
          }
}

TEST_CASE("the operations are those of the table, counted by hand for a small unit") {
  UnitSize const size{2, 3, 4, 6, 2};  // N, c, P, D, h
  CHECK(evaluation_operations(Order::materialized, size).products == 2 * (3 * (2 * 4 * 6 + 6 * 36) + 3 * 36));
  int const once = 3 * 3 * 4 * 6 * 2;  // scorers to patches and back
  CHECK(evaluation_operations(Order::patch_space, size).products ==
        2 * (3 * 3 * 5 * 6 + 3 * 36) + 3 * 3 * 36 * 5 + once);
  auto const few_rows =
      evaluation_operations(Order::token_space, size);  // the scores' gradient goes through the tokens
  CHECK(few_rows.products == 2 * (3 * 3 * 4 * 6 + 6 * 36) + once / 3);
  CHECK(few_rows.head_features == 2 * 3 * (2 + 2 + 2) * 6 * 2);
  CHECK(few_rows.head_pixels == 2 * 3 * 2 * 4 * 2);
  CHECK(evaluation_operations(Order::token_space, {8, 3, 4, 6, 2}).head_features == 8 * 3 * (2 + 2) * 6 * 2);
  CHECK(evaluation_operations(Order::token_space, {8, 12, 4, 6, 2}).head_features == 8 * 12 * (2 + 1) * 6 * 2);
}

TEST_CASE("a policy of a user's own chooses for the rows at hand, among the orders that it allows") {
  static_assert(EvaluationOrder<ByRows> && EvaluationOrder<Auto> && EvaluationOrder<TokenSpace>);
  static_assert(!EvaluationOrder<int> && !EvaluationOrder<Evaluate<Auto>>);
  Parameters<double, tests::Space> parameters, others;
  channels::Tokenizer<double, tests::Space> tokenizer(parameters, 5, 6, 4);
  channels::AttentionLeaf<double, tests::Space, ByRows> leaf(parameters, "unit.", {3, 6, 2}, tokenizer, {2, 3});
  leaf.choose(1000);
  CHECK(leaf.order() == Order::token_space);
  Index const without_sums = leaf.kept_per_row();
  leaf.choose(20);
  CHECK(leaf.order() == Order::patch_space);
  CHECK(leaf.kept_per_row() == 2 * 2 + 6);
  CHECK(without_sums == 2 * 2 + 6);  // 12 sums a row would be many beside 12 pixels
  channels::Tokenizer<double, tests::Space> more(others, 12, 6, 4);
  channels::AttentionLeaf<double, tests::Space, TokenSpace> keeper(others, "unit.", {12, 6, 2}, more, {0, 12});
  keeper.choose(1000);
  CHECK(keeper.kept_per_row() == 2 * 2 + 6 + 12);  // they are few beside 48
  std::string message;
  try {
    leaf.choose(10);
  } catch (Error const& error) {
    message = error.what();
  }
  CHECK(message.find("for 10 rows of 3 channels, but does not allow it") != std::string::npos);
}
