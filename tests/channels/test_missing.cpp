#include <doctest/doctest.h>

#include <cmath>
#include <dchag/testing/finite_difference.hpp>
#include <random>
#include <string>

#include "channels/front_end_case.hpp"
#include "channels/naive_tree.hpp"
#include "portability/squared_sum.hpp"

using namespace dchag;
using tests::FrontEndCase;
using tests::NaiveLevel;
using tests::NaiveTree;
using tests::NamedOrder;
using tests::Traced;

namespace {

using Flags = std::vector<unsigned char>;  // [images, channels]

struct Size {
  channels::PatchGrid grid{7, 4, 6, 2};
  Index embed = 6, heads = 3, images = 5, kept = 4;
};

/// The first image has all channels, the second the last one alone, the third what is left of groups of two; the others
/// are drawn.
Flags draw_present(Size const& size, unsigned seed) {
  std::mt19937 random(seed);
  Index const channels = size.grid.channels;
  Flags present(static_cast<std::size_t>(size.images * channels), 1);
  for (Index b = 1; b < size.images; ++b) {
    for (Index c = 0; c < channels; ++c)
      present[static_cast<std::size_t>(b * channels + c)] = b == 1 ? 0 : b == 2 ? (c % 4 < 2) : random() % 2;
    present[static_cast<std::size_t>((b + 1) * channels - 1)] = 1;
  }
  return present;
}

/// Holds the loss and every gradient of a front end against the formulas evaluated on the channels present alone.
template <class TreePolicy, class Evaluation, bool recompute = false>
void check_against_formulas(Size const& size, std::vector<NaiveLevel> const& levels, Flags const& present) {
  FrontEndCase<TreePolicy, Evaluation, recompute, Renormalize> front_end(size.grid, size.embed, size.heads, size.images,
                                                                         size.kept, 3);
  front_end.set_present(present);
  tests::Tape tape;
  NaiveTree naive{size.grid.channels,
                  size.grid.height,
                  size.grid.width,
                  size.grid.patch,
                  size.embed,
                  size.heads,
                  levels,
                  {},
                  &tape};
  for (auto const& parameter : front_end.parameters.all()) {
    auto const host =
        Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), parameter.template value<double*>(parameter.size()));
    for (std::size_t i = 0; i < host.size(); ++i) naive.parameters[parameter.name].push_back(traced(tape, host(i)));
  }
  auto const images = front_end.host_images(), weights = front_end.host_weights();
  Traced expected = traced(tape, 0);
  for (Index b = 0; b < size.images; ++b)
    for (Index k = 0; k < size.kept; ++k) {
      auto const token = naive.evaluate(images.data() + b * size.grid.channels * size.grid.height * size.grid.width,
                                        present.data() + b * size.grid.channels, front_end.location(b, k));
      for (Index e = 0; e < size.embed; ++e)
        expected = expected + token[static_cast<std::size_t>(e)] *
                                  weights[static_cast<std::size_t>((b * size.kept + k) * size.embed + e)];
    }
  auto const slopes = tape.slopes(expected.at);
  CHECK(front_end.loss() == doctest::Approx(expected.value()).epsilon(1e-11));
  auto const gradients = front_end.host_gradients();
  double largest = 0;
  for (auto const& tensor : gradients)
    for (double gradient : tensor) largest = std::fmax(largest, std::fabs(gradient));
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    auto const& name = front_end.parameters.all()[p].name;
    CAPTURE(name);
    double difference = 0;
    for (std::size_t i = 0; i < gradients[p].size(); ++i) {
      REQUIRE(std::isfinite(gradients[p][i]));
      difference = std::fmax(difference, std::fabs(gradients[p][i] - slopes[naive.parameters[name][i].at]));
    }
    CHECK(difference <= 1e-12 * largest);
  }
}

/// What a front end says to such a batch; empty where it takes it.
template <class Case>
std::string message_of(Case& front_end, Flags const& present) {
  front_end.set_present(present);
  try {
    front_end.loss();
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}
bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("attention over the channels present is attention over these alone, in every order, NaN in the others") {
  for (Order order : {Order::materialized, Order::token_space, Order::patch_space}) {
    CAPTURE(static_cast<int>(order));
    NamedOrder::order = order;
    Size size;
    check_against_formulas<Tree<CrossAttention<1>>, NamedOrder>(size, {{'a', 1}}, draw_present(size, 1));
    check_against_formulas<Tree<CrossAttention<3>, CrossAttention<1>>, NamedOrder>(size, {{'a', 3}, {'a', 1}},
                                                                                   draw_present(size, 2));
  }
}

TEST_CASE("in rows of several tiles, and with sums of tokens kept, as well") {
  Size size;
  size.images = 23;
  size.kept = 6;
  CHECK((!on_host<tests::Space> || Tiling::of<double, tests::Space>(size.images * size.kept).tiles > 1));
  NamedOrder::order = Order::token_space;
  check_against_formulas<Tree<CrossAttention<1>>, NamedOrder>(size, {{'a', 1}}, draw_present(size, 3));
  size.grid.channels = 40;
  size.images = 3;
  REQUIRE(UnitSize{18, 40, 4, 6, 3}.keeps_sums());
  check_against_formulas<Tree<CrossAttention<1>>, NamedOrder>(size, {{'a', 1}}, draw_present(size, 4));
}

TEST_CASE("Linear units renormalize over the tokens present, folded and as published, at any level") {
  Size size;
  size.grid.channels = 11;
  size.images = 6;
  Flags const present = draw_present(size, 5);
  std::vector<NaiveLevel> const levels{{'l', 5}, {'l', 3}, {'a', 1}}, deep{{'a', 4}, {'l', 2}, {'l', 1}};
  check_against_formulas<Tree<Linear<1>>, Auto>(size, {{'l', 1}}, present);
  check_against_formulas<Tree<Linear<5>, Linear<3>, CrossAttention<1>>, Auto>(size, levels, present);
  check_against_formulas<Tree<Linear<5>, Linear<3>, CrossAttention<1>>, Auto, true>(size, levels, present);
  check_against_formulas<Tree<Linear<5>, Linear<3>, CrossAttention<1>>, Materialized>(size, levels, present);
  check_against_formulas<Tree<CrossAttention<4>, Linear<2>, Linear<1>>, TokenSpace>(size, deep, present);
  size.images = 29;
  size.kept = 6;
  check_against_formulas<Tree<Linear<5>, Linear<3>, CrossAttention<1>>, Auto>(size, levels, draw_present(size, 6));
}

TEST_CASE("gradients where channels are missing are those of finite differences") {
  Size const size;
  FrontEndCase<Tree<Linear<4>, CrossAttention<2>, Linear<1>>, Auto, false, Renormalize> front_end(
      size.grid, size.embed, size.heads, size.images, size.kept, 3);
  front_end.set_present(draw_present(size, 7));
  front_end.loss();
  auto const report = testing::check_gradients(front_end.parameters, [&] { return front_end.loss(); });
  INFO(report);
  CHECK(report.error < 1e-7);
}

TEST_CASE("a channel that no image has gets gradients of exactly zero") {
  for (Order order : all_orders) {
    NamedOrder::order = order;
    Size const size;
    FrontEndCase<Tree<CrossAttention<1>>, NamedOrder> front_end(size.grid, size.embed, size.heads, size.images,
                                                                size.kept, 3);
    Flags present(static_cast<std::size_t>(size.images * 7), 1);
    for (Index b = 0; b < size.images; ++b) present[static_cast<std::size_t>(b * 7 + 2)] = 0;
    front_end.set_present(present);
    front_end.loss();
    auto const gradients = front_end.host_gradients();
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      auto const& parameter = front_end.parameters.all()[p];
      if (parameter.shape.front() != 7) continue;
      std::size_t const each = gradients[p].size() / 7;
      for (std::size_t i = 0; i < gradients[p].size(); ++i)
        if (i / each == 2)
          CHECK(gradients[p][i] == 0.0);
        else
          CHECK(gradients[p][i] != 0.0);
    }
  }
}

TEST_CASE("where every channel is said to be present, every number is the one of saying nothing") {
  Size const size;
  auto const check = [&]<class Case>(std::type_identity<Case>) {
    Case silent(size.grid, size.embed, size.heads, size.images, size.kept, 3),
        told(size.grid, size.embed, size.heads, size.images, size.kept, 3);
    told.set_present(Flags(static_cast<std::size_t>(size.images * 7), 1));
    CHECK(told.loss() == doctest::Approx(silent.loss()).epsilon(1e-14));
    auto const expected = silent.host_gradients(), found = told.host_gradients();
    for (std::size_t p = 0; p < expected.size(); ++p)
      for (std::size_t i = 0; i < expected[p].size(); ++i)
        CHECK(std::fabs(found[p][i] - expected[p][i]) <= 1e-13 * (1 + std::fabs(expected[p][i])));
  };
  check(std::type_identity<FrontEndCase<Tree<CrossAttention<1>>, Auto>>());
  check(std::type_identity<FrontEndCase<Tree<Linear<3>, CrossAttention<1>>, Auto>>());
}

TEST_CASE("a unit that cannot do without a token refuses, with the image, the channel, the unit and the remedy") {
  Size const size;
  Flags present(static_cast<std::size_t>(size.images * 7), 1);
  FrontEndCase<Tree<Linear<3>, CrossAttention<1>>, Auto> linear(size.grid, size.embed, size.heads, size.images,
                                                                size.kept, 3);
  present[2 * 7 + 4] = 0;  // of groups 0 to 2, 3 and 4, 5 and 6
  std::string const text = message_of(linear, present);
  CHECK(has(text, "image 2 lacks channel 4, "));
  CHECK(has(text, "aggregator.0.1 (linear)"));
  CHECK(has(text, "one of the 2 tokens"));
  CHECK(has(text, "Missing<Renormalize>"));
  linear.model().name_channels({"B1", "B2", "B3", "B4", "B5", "B6", "B7"});
  CHECK(has(message_of(linear, present), "image 2 lacks channel 4 (B5), "));
  present[2 * 7 + 3] = 0;  // the whole group: nothing to renormalize
  CHECK(message_of(linear, present) == "");

  FrontEndCase<Tree<CrossAttention<4>, portability::Squared<2>, CrossAttention<1>>, Auto> own(
      size.grid, size.embed, size.heads, size.images, size.kept, 3);
  present[2 * 7 + 2] = 0;  // of groups 0 and 1, 2 and 3, 4 and 5, 6
  present[2 * 7 + 4] = 1;
  std::string const others = message_of(own, present);
  CHECK(has(others, "image 2 lacks channel 2, "));
  CHECK(has(others, "aggregator.1.0 (squared_sum)"));
  CHECK(has(others, "PresentTokens"));

  std::fill(present.begin() + 7, present.begin() + 14, static_cast<unsigned char>(0));
  CHECK(has(message_of(own, present), "1 of 5 images have none of the 7 channels present"));
}
