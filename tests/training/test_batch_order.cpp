#include <doctest/doctest.h>

#include <algorithm>
#include <dchag/training/batch_order.hpp>
#include <set>
#include <vector>

#include "io/scratch.hpp"

using dchag::BatchOrder;
using dchag::Index;

namespace {

std::vector<Index> drawn(BatchOrder& order, Index first, Index steps) {
  std::vector<Index> images;
  for (Index step = first; step < first + steps; ++step)
    for (Index image : order(step)) images.push_back(image);
  return images;
}

}  // namespace

TEST_CASE("every epoch has every image once, in an order of its own") {
  BatchOrder order(30, 6, 1);
  std::set<std::vector<Index>> orders;
  for (Index epoch = 0; epoch < 4; ++epoch) {
    auto const images = drawn(order, 5 * epoch, 5);
    CHECK(order.epoch(5 * epoch) == epoch);
    CHECK(order.epoch(5 * epoch + 4) == epoch);
    orders.insert(images);
    auto sorted = images;
    std::sort(sorted.begin(), sorted.end());
    for (Index i = 0; i < 30; ++i) CHECK(sorted[static_cast<std::size_t>(i)] == i);
    CHECK(images != sorted);
  }
  CHECK(orders.size() == 4);
}

TEST_CASE("batches that do not divide the images go on into the next epoch") {
  BatchOrder order(7, 4, 1), whole(7, 7, 1);
  CHECK(drawn(order, 0, 7) == drawn(whole, 0, 4));
  BatchOrder many(3, 8, 1), few(3, 1, 1);
  CHECK(drawn(many, 0, 1) == drawn(few, 0, 8));
}

TEST_CASE("the order is that of the seed, at whichever step one begins") {
  BatchOrder order(50, 10, 1), again(50, 10, 1), other(50, 10, 2);
  auto const later = drawn(again, 7, 3);
  auto const all = drawn(order, 0, 10);
  CHECK(std::equal(later.begin(), later.end(), all.begin() + 70));
  CHECK(drawn(other, 0, 5) != drawn(order, 0, 5));
}

TEST_CASE("every image is as likely at every place") {
  std::vector<int> counts(25);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    BatchOrder order(5, 5, seed);
    auto const images = order(0);
    for (std::size_t place = 0; place < 5; ++place) ++counts[place * 5 + static_cast<std::size_t>(images[place])];
  }
  for (int count : counts) CHECK(std::abs(count - 800) < 5 * 25.3);  // five standard deviations
}

TEST_CASE("sizes that make no sense are errors") {
  using dchag::tests::error_of;
  CHECK(error_of([] { BatchOrder(0, 1, 1); }) == "batch order: 0 images: give at least 1");
  CHECK(error_of([] { BatchOrder(1, 0, 1); }) == "batch order: batches of 0 images: give at least 1");
}
