#include <dchag/layers/rows.hpp>

#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

namespace {

// A function of its own: device compilers take no kernel out of a test's body.
template <class T>
void summarize(dchag::Context<Space> const& context, Tensor<T> const& from, Tensor<T> const& to) {
  T const* const in = from.view.data();
  T* const out = to.view.data();
  Index const columns = from.columns;
  dchag::layers::row_loop<T>(context, "dchag::test", from.rows, KOKKOS_LAMBDA(Index r, dchag::layers::Row<T, Space> const& row) {
    auto const at = [&]<class L>(Index j) { return dchag::load<L>(in + r * columns + j); };
    T const sum = row.sum(columns, at), largest = row.largest(columns, at);
    row.each(columns, [&]<class L>(Index j) { dchag::store(out + r * (columns + 2) + j, at.template operator()<L>(j) * T(2)); });
    row.once([&] {
      out[r * (columns + 2) + columns] += sum;
      out[r * (columns + 2) + columns + 1] = largest;
    });
  });
}

}  // namespace

TEST_CASE_TEMPLATE("a row is gone over once, summed and searched, whatever its width", T, float, double) {
  for (Index columns : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 100}) {
    Tensor<T> const in(3, columns, "in"), out(3, columns + 2);
    auto const values = in.host();
    dchag::Workspace<Space> workspace(0);
    summarize(dchag::Context<Space>(workspace), in, out);
    auto const found = out.host();
    for (Index r = 0; r < 3; ++r) {
      auto const* const row = values.data() + r * columns;
      auto const* const result = found.data() + r * (columns + 2);
      double total = 0;
      for (Index j = 0; j < columns; ++j) {
        total += row[j];
        CHECK(result[j] == 2 * row[j]);
      }
      CHECK(result[columns] == doctest::Approx(total).epsilon(1e-5));
      CHECK(result[columns + 1] == *std::max_element(row, row + columns));
    }
  }
}
