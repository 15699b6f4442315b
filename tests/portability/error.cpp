#include <Kokkos_Core.hpp>
#include <cmath>
#include <dchag/core/error.hpp>

// The device's loops, scratch-free: one reduction whose sum is known.
int main(int argc, char** argv) {
  Kokkos::ScopeGuard const kokkos(argc, argv);
  using Space = Kokkos::DefaultExecutionSpace;
  Kokkos::View<double*, Kokkos::LayoutRight, Space> values("values", 1000);
  Kokkos::parallel_for(
      "fill", Kokkos::RangePolicy<Space>(0, 1000), KOKKOS_LAMBDA(int i) { values(i) = i; });
  double sum = 0;
  Kokkos::parallel_reduce(
      "sum", Kokkos::RangePolicy<Space>(0, 1000), KOKKOS_LAMBDA(int i, double& total) { total += values(i); }, sum);
  dchag::require(std::abs(sum - 499500) < 1e-9, "sum = ", sum, ", expected 499500");
}
