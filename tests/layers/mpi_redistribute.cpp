#include <mpi.h>

#include <dchag/layers/redistribute.hpp>
#include <vector>

#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Communicator;
using dchag::Index;
using dchag::SharedLocations;
using dchag::Shares;
using dchag::Staging;

namespace {

/// The number of an entry of whole rows [images, locations, columns].
double number(Index image, Index location, Index column) {
  return static_cast<double>(10000 * image + 100 * location + column);
}

/// Some columns of some locations of every image, times `factor`.
std::vector<double> numbers(Index images, dchag::Range locations, std::vector<Index> const& columns,
                            double factor = 1) {
  std::vector<double> values;
  for (Index image = 0; image < images; ++image)
    for (Index i = 0; i < locations.count; ++i)
      for (Index column : columns) values.push_back(factor * number(image, locations.begin + i, column));
  return values;
}

/// `count` columns from `first` of each of `parts` parts of `width` columns.
std::vector<Index> columns(Index parts, Index width, Index first, Index count) {
  std::vector<Index> all;
  for (Index part = 0; part < parts; ++part)
    for (Index j = 0; j < count; ++j) all.push_back(part * width + first + j);
  return all;
}

template <class T>
Tensor<T> tensor(Index rows, Index width, std::vector<double> const& values) {
  Tensor<T> const result(rows, width);
  result.assign(values);
  return result;
}

template <class T>
void check(SharedLocations const& where, Index parts, Index width_of_rank) {
  using Rows = dchag::linalg::Matrix<T>;
  Index const ranks = where.group.size(), rank = where.group.rank(), images = where.images,
              locations = where.locations(), width = ranks * width_of_rank, all_columns = parts * width;
  auto const every = columns(1, all_columns, 0, all_columns),
             heads = columns(parts, width, rank * width_of_rank, width_of_rank);
  dchag::Range const all{0, locations}, share = where.shares.range(rank);
  auto const whole = tensor<T>(images * locations, all_columns, numbers(images, all, every));
  auto const partial =
      tensor<T>(images * locations, all_columns, numbers(images, all, every, static_cast<double>(rank + 1)));
  Tensor<T> const taken(where.own_rows(), all_columns), gathered(images * locations, all_columns),
      reduced(where.own_rows(), all_columns), by_heads(images * locations, parts * width_of_rank),
      back(where.own_rows(), all_columns);
  run([&](auto const& context) {
    using namespace dchag::layers;
    take_locations(context, where, Rows(whole), Rows(taken));
    gather_locations(context, where, taken, Rows(gathered));
    reduce_locations(context, where, partial, Rows(reduced));
    locations_to_heads(context, where, parts, taken, Rows(by_heads));
    heads_to_locations(context, where, parts, by_heads, Rows(back));
    CHECK(context.workspace().used() == 0);
  });
  auto const own = numbers(images, share, every);
  CHECK(taken.host() == own);
  CHECK(gathered.host() == whole.host());
  CHECK(reduced.host() == numbers(images, share, every, static_cast<double>(ranks * (ranks + 1) / 2)));
  CHECK(by_heads.host() == numbers(images, all, heads));
  CHECK(back.host() == own);
}

}  // namespace

TEST_CASE_TEMPLATE("locations are taken, gathered, summed, and changed for heads and back", T, float, double) {
  for (Staging const staging : {Staging::device, Staging::always}) {
    Communicator const group(MPI_COMM_WORLD, staging);
    Index const ranks = group.size();
    for (Index const locations : {Index{1}, ranks, 2 * ranks + 1, 3 * ranks - 1})
      for (Index const images : {1, 3})
        for (Index const parts : {1, 3}) {
          INFO("locations ", locations, ", images ", images, ", parts ", parts);
          check<T>({group, images, Shares::even(locations, ranks)}, parts, 2);
          check<T>({group, images, Shares::padded(locations, ranks)}, parts, 5);
        }
  }
}

TEST_CASE("rows that are some columns of wider ones are gathered and summed in place") {
  Communicator const group(MPI_COMM_WORLD);
  Index const ranks = group.size(), locations = ranks + 1;
  SharedLocations const where{group, 2, Shares::even(locations, ranks)};
  dchag::Range const share = where.shares.range(group.rank());
  auto const own = tensor<double>(where.own_rows(), 9, numbers(2, share, columns(1, 9, 0, 9)));
  Tensor<double> const whole(2 * locations, 6);
  using Rows = dchag::linalg::Matrix<double>;
  run([&](auto const& context) {
    dchag::layers::gather_locations(context, where, Rows(own).columns_at(3, 6), Rows(whole));
    if (!context.dry()) CHECK(whole.host() == numbers(2, {0, locations}, columns(1, 9, 3, 6)));
    dchag::layers::reduce_locations(context, where, whole, Rows(own).columns_at(3, 6));
  });
  auto expected = numbers(2, share, columns(1, 9, 0, 9));
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (i % 9 >= 3) expected[i] *= static_cast<double>(ranks);
  CHECK(own.host() == expected);
}
