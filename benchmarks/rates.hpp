#pragma once

#include <algorithm>
#include <dchag/core/context.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/linalg/gemm.hpp>

#include "timing.hpp"

namespace dchag::benchmarks {

/// Multiply-adds a second of one product of 2048-cubed matrices: the best of several, as a bound should be.
inline double product_rate() {
  constexpr Index n = 2048;
  Workspace<Device> workspace(3 * n * n * sizeof(float) + 1024);
  Context<Device> const context(workspace);
  linalg::Matrix<float> a = workspace.push<float**>(n, n), b = workspace.push<float**>(n, n),
                        c = workspace.push<float**>(n, n);
  context.fill(reshape<float*, Device>(a.data, n * n), 1.0f);
  context.fill(reshape<float*, Device>(b.data, n * n), 1.0f);
  double best = 0;
  for (int repeat = 0; repeat < 7; ++repeat) {
    Kokkos::Timer const timer;
    linalg::gemm(context, linalg::Op::none, linalg::Op::none, 1.0f, a, b, 0.0f, c);
    context.fence("product_rate");
    best = std::max(best, static_cast<double>(n * n * n) / timer.seconds());
  }
  return best;
}

/// Bytes a second of a = b + s c over arrays of `count` floats, 12 bytes an element, as the STREAM benchmark counts
/// them (McCalpin): the best of several passes, after one that touches the memory.
inline double triad_rate(Index count) {
  Kokkos::View<float*, Device> const a("a", static_cast<std::size_t>(count)), b = pixels(count), c = pixels(count);
  Device const space;
  double best = 0;
  for (int repeat = 0; repeat < 10; ++repeat) {
    Kokkos::Timer const timer;
    Kokkos::parallel_for(
        "triad", Kokkos::RangePolicy<Device, Kokkos::IndexType<Index>>(space, 0, count),
        KOKKOS_LAMBDA(Index i) { a(i) = b(i) + 3.0f * c(i); });
    space.fence("triad_rate");
    if (repeat > 0) best = std::max(best, 12.0 * static_cast<double>(count) / timer.seconds());
  }
  return best;
}

}  // namespace dchag::benchmarks
