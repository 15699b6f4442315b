#include <doctest/doctest.h>

#include <dchag/core/random.hpp>
#include <dchag/linalg/reduce.hpp>
#include <string>
#include <vector>

#include "space.hpp"

using dchag::Index;
using dchag::linalg::Matrix;
using dchag::tests::Space;

namespace {

template <class T>
struct Vector {
  Kokkos::View<T*, Space> data;

  Vector(Index size, std::string const& name) : data("vector", static_cast<std::size_t>(size)) {
    auto const mirror = Kokkos::create_mirror_view(data);
    for (std::size_t i = 0; i < mirror.size(); ++i)
      mirror(i) = static_cast<T>(dchag::random_normal(dchag::random_key(1, name), i));
    Kokkos::deep_copy(data, mirror);
  }
  std::vector<double> host() const {
    auto const mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), data);
    return {mirror.data(), mirror.data() + mirror.size()};
  }
};

template <class T>
void check_close(std::vector<double> const& found, std::vector<double> const& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(found[i] == doctest::Approx(expected[i]).epsilon(sizeof(T) == 4 ? 1e-4 : 1e-12));
}

/// Runs body(context) over sizes alone, then with the storage that this measured.
template <class Body>
void run(Body const& body) {
  dchag::Workspace<Space> workspace;
  dchag::Context<Space> const context(workspace);
  body(context);
  workspace.allocate(workspace.peak());
  body(context);
  Kokkos::fence();
}

struct Sizes {
  Index rows, columns, stride;
};
constexpr Sizes all_sizes[] = {{1, 1, 1}, {5, 3, 7}, {129, 40, 40}, {700, 33, 50}, {9000, 2, 2}, {0, 5, 5}};

}  // namespace

TEST_CASE_TEMPLATE("sums of columns are added to what is there, of any number of rows and any stride", T, float,
                   double) {
  for (Sizes const& sizes : all_sizes) {
    Index const rows = sizes.rows, columns = sizes.columns, stride = sizes.stride;
    INFO(rows, " x ", columns, " at ", stride);
    Vector<T> const matrix(rows * stride, "matrix"), total(columns, "total");
    auto const values = matrix.host();
    auto expected = total.host();
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < columns; ++j)
        expected[static_cast<std::size_t>(j)] += values[static_cast<std::size_t>(r * stride + j)];
    run([&](auto const& context) {
      dchag::linalg::add_column_sums(context, Matrix<T>(matrix.data.data(), rows, columns, stride), total.data.data());
    });
    check_close<T>(total.host(), expected);
  }
}

TEST_CASE_TEMPLATE("sums of rows are added to what is there", T, float, double) {
  for (Sizes const& sizes : all_sizes) {
    Index const rows = sizes.rows, columns = sizes.columns, stride = sizes.stride;
    INFO(rows, " x ", columns, " at ", stride);
    Vector<T> const matrix(rows * stride, "matrix"), total(rows, "total");
    auto const values = matrix.host();
    auto expected = total.host();
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < columns; ++j)
        expected[static_cast<std::size_t>(r)] += values[static_cast<std::size_t>(r * stride + j)];
    run([&](auto const& context) {
      dchag::linalg::add_row_sums(context, Matrix<T>(matrix.data.data(), rows, columns, stride), total.data.data());
    });
    check_close<T>(total.host(), expected);
  }
}

TEST_CASE("sums of columns do not depend on how often they are taken") {
  Vector<float> const matrix(5000 * 37, "matrix"), first(37, "total"), second(37, "total");
  for (auto const* total : {&first, &second})
    run([&](auto const& context) {
      dchag::linalg::add_column_sums(context, Matrix<float>(matrix.data.data(), 5000, 37), total->data.data());
    });
  CHECK(first.host() == second.host());
}
