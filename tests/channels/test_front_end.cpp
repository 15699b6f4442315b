#include <doctest/doctest.h>

#include <dchag/testing/finite_difference.hpp>
#include <random>
#include <string>

#include "channels/front_end_case.hpp"

using namespace dchag;
using tests::FrontEndCase;
using tests::NamedOrder;

namespace {

/// A unit of a user's own: out = gain[0] (sum over c of tokens) squared, element by element; keeps the sum.
template <class T, class S>
class SquaredSum {
 public:
  SquaredSum(Parameters<T, S>& parameters, std::string const& prefix, UnitShape shape)
      : shape_(shape), gain_(&parameters.add(prefix + "gain", {1}, constant(1))) {}
  Index kept_per_row() const { return shape_.embed; }
  void prepare(Context<S> const&) {}
  void finish(Context<S> const&) {}
  void forward(Context<S> const& context, Tiling const& tiling, T const* tokens, T* kept, T* out) const {
    Index const width = tiling.width, pitch = tiling.pitch, count = shape_.tokens, embed = shape_.embed;
    T const* const gain = gain_->values;
    context.loop(
        "squared_sum", embed * width, KOKKOS_LAMBDA(Index item) {
          Index const at = item / width * pitch + item % width;
          T sum = 0;
          for (Index c = 0; c < count; ++c) sum += tokens[c * embed * pitch + at];
          kept[at] = sum;
          out[at] = gain[0] * sum * sum;
        });
  }
  void backward(Context<S> const& context, Tiling const& tiling, T const*, T const* kept, T const* gradient,
                T* token_gradients) const {
    Index const width = tiling.width, pitch = tiling.pitch, count = shape_.tokens, embed = shape_.embed;
    T const* const gain = gain_->values;
    T* const dgain = gain_->gradients;
    T const total = context.template sum<T>(
        "dgain", embed * width, KOKKOS_LAMBDA(Index item, T & sum) {
          Index const at = item / width * pitch + item % width;
          sum += gradient[at] * kept[at] * kept[at];
          for (Index c = 0; c < count; ++c)
            token_gradients[c * embed * pitch + at] = 2 * gain[0] * kept[at] * gradient[at];
        });
    context.loop(
        "add_dgain", 1, KOKKOS_LAMBDA(Index) { dgain[0] += total; });
  }

 private:
  UnitShape shape_;
  Parameter<T, S>* gain_;
};

template <Index count>
struct Squared {
  static constexpr char const* name = "squared_sum";
  static constexpr Index groups = count;
  template <class T, class S>
  using Unit = SquaredSum<T, S>;
};

void check_same(std::vector<std::vector<double>> const& a, std::vector<std::vector<double>> const& b) {
  double largest = 0, difference = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t p = 0; p < a.size(); ++p)
    for (std::size_t i = 0; i < a[p].size(); ++i) {
      largest = std::max(largest, std::abs(a[p][i]));
      difference = std::max(difference, std::abs(a[p][i] - b[p][i]));
      REQUIRE(std::isfinite(a[p][i]));
    }
  CHECK(largest > 0);
  CHECK(difference <= 1e-11 * largest);
}

/// Holds the loss and the gradients of the cheap orders against those of the materialized one.
template <class Case>
void compare_orders(channels::PatchGrid const& grid, Index embed, Index heads, Index images, Index kept) {
  double first = 0;
  std::vector<std::vector<double>> gradients;
  for (Order order : {Order::materialized, Order::token_space, Order::patch_space}) {
    CAPTURE(static_cast<int>(order));
    NamedOrder::order = order;
    Case front_end(grid, embed, heads, images, kept, 3);
    double const loss = front_end.loss();
    if (order == Order::materialized) {
      first = loss;
      gradients = front_end.host_gradients();
    } else {
      CHECK(loss == doctest::Approx(first).epsilon(1e-11));
      check_same(gradients, front_end.host_gradients());
    }
  }
}

using Flat = FrontEndCase<Tree<CrossAttention<1>>, NamedOrder>;
using Deep = FrontEndCase<Tree<CrossAttention<2>, CrossAttention<1>>, NamedOrder>;

std::string message_of(channels::PatchGrid const& grid, Index embed, Index heads) {
  Parameters<double, tests::Space> parameters;
  try {
    FrontEnd<double, tests::Space, Tree<Linear<4>, CrossAttention<1>>, Auto, false> model(parameters, grid, embed,
                                                                                          heads);
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every order of evaluation gives the same tokens and gradients, whatever the sizes") {
  std::mt19937 random(5);
  auto const draw = [&](int low, int high) { return std::uniform_int_distribution<Index>(low, high)(random); };
  for (int repeat = 0; repeat < 12; ++repeat) {
    Index const patch = draw(1, 4), heads = draw(1, 9), embed = heads * draw(1, 5);
    channels::PatchGrid const grid{draw(2, 23), patch * draw(1, 4), patch * draw(1, 5), patch};
    Index const images = draw(1, 17), kept = draw(1, static_cast<int>(grid.locations()));
    CAPTURE(repeat);
    compare_orders<Flat>(grid, embed, heads, images, kept);
    if (repeat < 4) compare_orders<Deep>(grid, embed, heads, images, kept);
  }
}

TEST_CASE("rows of several tiles have in every order the gradients of finite differences") {
  channels::PatchGrid const grid{7, 6, 8, 2};
  Index const images = 30, kept = 9;
  CHECK((!on_host<tests::Space> || Tiling::of<double, tests::Space>(images * kept).tiles > 1));
  for (Order order : all_orders) {
    CAPTURE(static_cast<int>(order));
    NamedOrder::order = order;
    Flat front_end(grid, 12, 4, images, kept, 3);
    front_end.loss();
    CHECK(NamedOrder::asked.rows == images * kept);
    CHECK(NamedOrder::asked.channels == 7);
    CHECK(NamedOrder::asked.patch == 4);
    CHECK(NamedOrder::asked.embed == 12);
    CHECK(NamedOrder::asked.heads == 4);
    auto const report = testing::check_gradients(front_end.parameters, [&] { return front_end.loss(); });
    INFO(report);
    CHECK(report.error < 1e-7);
  }
  compare_orders<Deep>(grid, 12, 4, images, kept);
}

TEST_CASE("Linear levels give the same tokens and gradients folded and as published, kept and recomputed") {
  using Levels = Tree<Linear<5>, Linear<3>, CrossAttention<1>>;
  channels::PatchGrid const grid{11, 6, 8, 2};
  FrontEndCase<Levels, Materialized> published(grid, 12, 4, 30, 5, 3);
  FrontEndCase<Levels, Auto> folded(grid, 12, 4, 30, 5, 3);
  FrontEndCase<Levels, Auto, true> again(grid, 12, 4, 30, 5, 3);
  double const loss = published.loss();
  CHECK(folded.loss() == doctest::Approx(loss).epsilon(1e-11));
  CHECK(again.loss() == doctest::Approx(loss).epsilon(1e-11));
  check_same(published.host_gradients(), folded.host_gradients());
  check_same(published.host_gradients(), again.host_gradients());
  CHECK(again.kept_bytes() < folded.kept_bytes());
}

TEST_CASE("a unit of a user's own works at any level, its gradients those of finite differences") {
  channels::PatchGrid const grid{7, 4, 6, 2};
  auto const check = [&]<class Case>(std::type_identity<Case>) {
    Case front_end(grid, 6, 3, 3, 4, 2);
    front_end.loss();
    auto const report = testing::check_gradients(front_end.parameters, [&] { return front_end.loss(); });
    INFO(report);
    CHECK(report.checks > 20);
    CHECK(report.error < 1e-7);
  };
  check(std::type_identity<FrontEndCase<Tree<Squared<3>, CrossAttention<1>>, Auto>>());
  check(std::type_identity<FrontEndCase<Tree<CrossAttention<3>, Squared<2>, Linear<1>>, TokenSpace>>());
}

TEST_CASE("what the cheap orders keep does not grow with channels times features") {
  for (Order order : {Order::token_space, Order::patch_space}) {
    auto const kept = [&](Index channels, Index embed, Index images) {
      NamedOrder::order = order;
      FrontEndCase<Tree<CrossAttention<1>>, NamedOrder> front_end({channels, 8, 8, 2}, embed, 4, images, 16, 1);
      return static_cast<double>(front_end.kept_bytes());
    };
    auto const a_row = [&](Index channels, Index embed) {  // what one more row costs, in numbers
      return (kept(channels, embed, 16) - kept(channels, embed, 8)) / (8 * 16 * sizeof(double));
    };
    double const padding = 1.3;  // of rows to whole vector registers, and of tiles to an odd pitch
    CHECK(a_row(40, 64) <= padding * (40 * 4 + 2 * 4 + 64 + 64));  // patches, two numbers a head, z, the token
    CHECK(a_row(80, 64) <= padding * (80 * 4 + 2 * 4 + 64 + 64));
    CHECK(a_row(40, 128) <= padding * (40 * 4 + 2 * 4 + 128 + 128));
  }
}

TEST_CASE("sizes that do not fit are refused with the field, the value and the remedy") {
  auto const has = [](std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(message_of({8, 8, 8, 2}, 12, 4) == "");
  CHECK(
      message_of({8, 8, 9, 2}, 12, 4) ==
      "patch = 2 does not divide width = 9: choose a patch that divides height and width (1), or crop or pad to width "
      "= 8 or 10");
  CHECK(message_of({8, 48, 96, 5}, 12, 4) ==
        "patch = 5 does not divide height = 48 and width = 96: choose a patch that divides height and width (1, 2, 3, "
        "4, 6, 8, 12, 16, 24, 48), or crop or pad to height = 45 or 50 and width = 95 or 100");
  CHECK(message_of({8, 721, 1440, 4}, 12, 4) ==
        "patch = 4 does not divide height = 721: choose a patch that divides height and width (1), or crop or pad to "
        "height = 720 or 724");
  CHECK(
      message_of({8, 4, 4, 6}, 12, 4) ==
      "patch = 6 does not divide height = 4 and width = 4: choose a patch that divides height and width (1, 2, 4), or "
      "crop or pad to height = 6 and width = 6");
  Index const huge = Index{1} << 62;
  CHECK(has(message_of({8, huge, huge, huge - 1}, 12, 4), "128, 256, ...), or crop or pad to"));
  CHECK(has(message_of({8, 8, 8, 2}, 12, 5), "heads = 5 does not divide embed = 12"));
  CHECK(has(message_of({3, 8, 8, 2}, 12, 4), "level 0 has 4 groups, but only 3 channels"));
  CHECK(has(message_of({0, 8, 8, 2}, 12, 4), "channels = 0"));
  CHECK(has(message_of({8, 8, 8, 0}, 12, 4), "patch = 0"));
  CHECK(has(message_of({8, -8, 8, 2}, 12, 4), "height = -8"));
  CHECK(has(message_of({8, 8, 8, 2}, 0, 4), "embed = 0"));
  CHECK(has(message_of({8, 8, 8, 2}, 12, 0), "heads = 0"));
}

TEST_CASE("Linear levels in a row beyond eight are refused, since one does the same") {
  Parameters<double, tests::Space> parameters;
  channels::Tokenizer<double, tests::Space> tokenizer(parameters, 5, 6, 4);
  using Folded = channels::FoldedLinear<double, tests::Space>;
  std::vector<std::vector<channels::LinearUnit<double, tests::Space>*>> const nine(9);
  CHECK_THROWS_WITH_AS(Folded(nine, tokenizer, {0, 0, 0, 0, 0}),
                       "Tree: 9 Linear levels in a row, of which one does the same: use at most 8", Error);
}
