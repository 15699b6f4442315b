#include <dchag/layers/block.hpp>
#include <dchag/layers/dropout.hpp>

#include "layers/block_gradients.hpp"
#include "layers/naive.hpp"
#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;
using dchag::layers::Dropout;
using dchag::layers::HeldElements;

namespace {

/// What ones become.
template <class T = double>
std::vector<double> factors(Dropout const& dropout, std::string const& place, HeldElements const& held, Index rows,
                            Index columns) {
  Tensor<T> const ones(rows, columns), result(rows, columns);
  ones.assign(std::vector<double>(static_cast<std::size_t>(rows * columns), 1));
  run([&](auto const& context) {
    dchag::layers::drop(context, dropout.mask<T>(dropout.key(place), held), ones, result);
  });
  return result.host();
}
HeldElements whole(Index rows, Index columns) { return {{rows, 0, rows}, 0, columns}; }

Dropout in_batch(double rate, Index step, Index batch, std::uint64_t seed = 1) {
  Dropout dropout(rate, seed);
  dropout.begin_batch(step, batch);
  return dropout;
}

}  // namespace

TEST_CASE_TEMPLATE("dropout zeroes its share of the elements and keeps their mean", T, float, double) {
  Index const rows = 400, columns = 503;
  double const count = static_cast<double>(rows * columns);
  for (double const rate : {0.1, 0.5, 0.9}) {
    CAPTURE(rate);
    double zeros = 0, sum = 0, squares = 0, others = 0;
    for (double factor : factors<T>(Dropout(rate, 1), "a", whole(rows, columns), rows, columns)) {
      others += factor != 0 && factor != static_cast<double>(static_cast<T>(1 / (1 - rate)));
      zeros += factor == 0;
      sum += factor / count;
      squares += factor * factor / count;
    }
    CHECK(others == 0);
    double const variance = rate / (1 - rate);  // of a factor, whose mean is one
    CHECK(std::fabs(zeros / count - rate) < 5 * std::sqrt(rate * (1 - rate) / count));
    CHECK(std::fabs(sum - 1) < 5 * std::sqrt(variance / count));
    CHECK(squares - sum * sum == doctest::Approx(variance).epsilon(0.03));
  }
}

TEST_CASE("what is dropped depends on seed, place, step and batch, and on nothing else") {
  Index const rows = 60, columns = 70;
  auto const of = [&](Dropout const& dropout, std::string const& place = "a") {
    return factors(dropout, place, whole(rows, columns), rows, columns);
  };
  auto const first = of(in_batch(0.5, 3, 1));
  CHECK(of(in_batch(0.5, 3, 1)) == first);
  for (auto const& other : {of(in_batch(0.5, 4, 1)), of(in_batch(0.5, 3, 0)), of(in_batch(0.5, 1, 3)),
                            of(in_batch(0.5, 3, 1, 2)), of(in_batch(0.5, 3, 1), "b")}) {
    double same = 0;
    for (std::size_t i = 0; i < first.size(); ++i) same += first[i] == other[i];
    CHECK(std::fabs(same / double(first.size()) - 0.5) < 0.05);
  }
}

TEST_CASE("an element is dropped or not whichever rank has it, in either precision") {
  Index const images = 3, locations = 10, columns = 19, rows = images * locations;
  Dropout const dropout(0.4, 1);
  auto const all = factors(dropout, "a", whole(rows, columns), rows, columns);
  auto const in_single = factors<float>(dropout, "a", whole(rows, columns), rows, columns);
  for (std::size_t i = 0; i < all.size(); ++i) CHECK((all[i] == 0) == (in_single[i] == 0));
  auto const check = [&](HeldElements const& held, Index held_rows, Index held_columns) {
    auto const part = factors(dropout, "a", held, held_rows, held_columns);
    for (Index r = 0; r < held_rows; ++r)
      for (Index j = 0; j < held_columns; ++j) {
        Index const row = r / held.rows.count * locations + held.rows.first + r % held.rows.count;
        CHECK(part[std::size_t(r * held_columns + j)] == all[std::size_t(row * columns + held.column + j)]);
      }
  };
  check({{locations, 6, 4}, 0, columns}, images * 4, columns);  // some locations of every image
  check({{rows, 0, rows}, 7, columns}, rows, 12);               // some columns
  // Replicas of equal batches, rows one after the other.
  for (Index replica = 0; replica < images; ++replica) {
    Dropout one(0.4, 1, replica);
    one.begin_pass(true, locations);
    auto const part = factors(one, "a", whole(locations, columns), locations, columns);
    CHECK(std::equal(part.begin(), part.end(), all.begin() + replica * locations * columns));
  }
}

TEST_CASE("a rate that is no share is refused") {
  for (double const rate : {-0.5, 1.0, std::nan("")}) CHECK_THROWS_AS(Dropout(rate, 1), dchag::Error);
}

TEST_CASE_TEMPLATE("a block drops of its projection and of both layers of its MLP, in training alone", T, float,
                   double) {
  Index const images = 3, locations = 10, width = 24, heads = 4, hidden = 50, rows = images * locations;
  dchag::Parameters<T, Space> parameters;
  dchag::layers::Spread<dchag::Replicated> const spread;
  Dropout dropout = in_batch(0.3, 2, 0);
  dchag::layers::Block<T, Space> block(parameters, "b", width, heads, hidden, spread, dropout);
  parameters.allocate(1);
  randomize(parameters);
  Tensor<T> const x(rows, width, "x"), y(rows, width, "x");
  auto const of = [&](std::string const& name) { return value(parameters, "b." + name); };
  auto const drop = [&](std::string const& layer, naive::Vector values) {
    Index const columns = static_cast<Index>(values.size()) / rows;
    auto const mask = factors(dropout, "b." + layer, whole(rows, columns), rows, columns);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] *= mask[i];
    return values;
  };
  auto const expected = naive::block(x.host(), images, heads, of, drop),
             kept = naive::block(x.host(), images, heads, of);
  run([&](auto const& context) { block.forward(context, x, images); });
  CHECK(difference(x.host(), expected) < tolerance<T>);
  CHECK(difference(kept, expected) > 0.1);
  dropout.begin_pass(false, rows);
  run([&](auto const& context) { block.forward(context, y, images); });
  CHECK(difference(y.host(), kept) < tolerance<T>);
}

TEST_CASE("the gradients of a block that drops are those of finite differences, and its workspace is given back") {
  check_block_gradients(Dropout(0.3, 1));
}
