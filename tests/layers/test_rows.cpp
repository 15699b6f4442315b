#include <dchag/layers/rows.hpp>

#include "layers/tensors.hpp"

using namespace dchag::tests;
using dchag::Index;

namespace {

/// Doubles each row of [rows, columns] into [rows, columns + 2], and puts its sum and its largest value behind.
template <class T>
struct Summarize {
  T const* in;
  T* out;
  Index columns;

  template <class Row>
  KOKKOS_FUNCTION void operator()(Index r, Row const& row) const {
    T const* const from = in + r * columns;
    T* const to = out + r * (columns + 2);
    auto const at = [&]<class L>(Index j) { return dchag::load<L>(from + j); };
    T const sum = row.sum(columns, at), largest = row.largest(columns, at);
    row.each(columns, [&]<class L>(Index j) { dchag::store(to + j, dchag::load<L>(from + j) * T(2)); });
    row.once([&] {
      to[columns] += sum;
      to[columns + 1] = largest;
    });
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a row is gone over once, summed and searched, whatever its width, by a thread or by a team", T,
                   float, double) {
  using Team = dchag::layers::detail::TeamPerRow<T, Space, Summarize<T>>;
  for (Index columns : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 100})
    for (bool by_teams : {false, true}) {
      INFO(columns, " columns, by teams ", by_teams);
      Tensor<T> const in(3, columns, "in"), out(3, columns + 2);
      Summarize<T> const summarize{in.view.data(), out.view.data(), columns};
      dchag::Workspace<Space> workspace(0);
      dchag::Context<Space> const context(workspace);
      if (by_teams)
        context.teams("dchag::test", 3, 1, 0, Team{summarize});
      else
        dchag::layers::row_loop<T>(context, "dchag::test", 3, summarize);
      Kokkos::fence();
      auto const values = in.host(), found = out.host();
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
