#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "channels/front_end_case.hpp"

using namespace dchag;
using tests::NamedOrder;

namespace {

/// Loss and gradients of an order, side by side.
std::vector<double> answers(Order order, channels::PatchGrid const& grid, Index embed, Index heads, Index images,
                            Index kept) {
  NamedOrder::order = order;
  tests::FrontEndCase<Tree<CrossAttention<1>>, NamedOrder> front_end(grid, embed, heads, images, kept, 3);
  std::vector<double> all{front_end.loss()};
  for (auto const& gradient : front_end.host_gradients()) all.insert(all.end(), gradient.begin(), gradient.end());
  return all;
}

void check(Order order, channels::PatchGrid const& grid, Index embed, Index heads, Index images, Index kept) {
  std::vector<double> const expected = answers(Order::materialized, grid, embed, heads, images, kept),
                            actual = answers(order, grid, embed, heads, images, kept);
  REQUIRE(actual.size() == expected.size());
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    double const off = std::abs(actual[i] - expected[i]);
    difference = off <= difference ? difference : off;  // a NaN stays
  }
  CHECK(largest > 0);
  CHECK(difference <= 1e-11 * largest);
}

/// Whether channels of so many numbers a row are taken in several chunks; a device takes all of a test's at once.
bool in_chunks(Index channels, Index numbers, Index rows) {
  Index const pitch = Tiling::of<double, tests::Space>(rows).pitch;
  return !on_host<tests::Space> || chunk_channels<double, tests::Space>(channels, numbers * pitch) < channels;
}

}  // namespace

TEST_CASE("channels taken in several chunks give what all of them give at once") {
  SUBCASE("tokens, whose sums are formed again") {
    CHECK(in_chunks(37, 192, 128));
    check(Order::token_space, {37, 16, 16, 4}, 192, 24, 8, 16);
  }
  SUBCASE("tokens, whose sums are kept") {
    CHECK(in_chunks(61, 192, 128));
    CHECK(1 * 192 * 4 <= 61 * 16);  // sums a row, beside pixels
    check(Order::token_space, {61, 16, 16, 4}, 192, 1, 8, 16);
  }
  SUBCASE("tokens of fewer rows than a patch has pixels") {
    CHECK(in_chunks(150, 192, 15));
    check(Order::token_space, {150, 16, 16, 4}, 192, 3, 1, 15);
  }
  SUBCASE("scaled patches") {
    CHECK(in_chunks(37, 24 * 16, 128));
    check(Order::patch_space, {37, 16, 16, 4}, 192, 24, 8, 16);
  }
}
