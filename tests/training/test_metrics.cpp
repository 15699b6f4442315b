#include <doctest/doctest.h>

#include <cmath>
#include <dchag/training/metrics.hpp>

#include "space.hpp"

using dchag::tests::Space;

TEST_CASE("rmse is the root of the mean squared difference, for any number of elements") {
  dchag::Workspace<Space> workspace(1 << 20);
  dchag::Context<Space> const context(workspace);
  for (int const count : {1, 15, 1024, 1025, 5000}) {
    CAPTURE(count);
    Kokkos::View<double*, typename Space::device_type> const a("a", count), b("b", count);
    auto const host = Kokkos::create_mirror_view(a);
    double sum = 0;
    for (int i = 0; i < count; ++i) {
      host(i) = std::sin(1.0 + i);
      sum += (host(i) - 0.25) * (host(i) - 0.25);
    }
    Kokkos::deep_copy(a, host);
    Kokkos::deep_copy(b, 0.25);
    CHECK(dchag::rmse(context, a, b) == doctest::Approx(std::sqrt(sum / count)).epsilon(1e-13));
  }
  Kokkos::View<double*, typename Space::device_type> const none("none", 0), three("three", 3);
  CHECK(dchag::rmse(context, none, none) == 0);
  CHECK_THROWS_WITH_AS(dchag::rmse(context, none, three),
                       "rmse: 0 predictions and 3 targets: give contiguous views of one shape", dchag::Error);
}
