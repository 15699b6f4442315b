#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <dchag/core/context.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/linalg/gemm.hpp>
#include <vector>

#include "timing.hpp"

namespace dchag::benchmarks {

/// One product of 2048 x 2048 matrices, whose rate bounds what is made of products. It is formed between what it is
/// compared with, since processors change their clock from second to second.
class LargeProduct {
 public:
  LargeProduct() {
    context_.fill(reshape<float*, Device>(a_.data, n * n), 1.0f);
    context_.fill(reshape<float*, Device>(b_.data, n * n), 1.0f);
    rate();
  }

  /// Multiply-adds a second.
  double rate() const {
    context_.fence("product");
    Kokkos::Timer const timer;
    linalg::gemm(context_, linalg::Op::none, linalg::Op::none, 1.0f, a_, b_, 0.0f, c_);
    context_.fence("product");
    return static_cast<double>(n * n * n) / timer.seconds();
  }

 private:
  static constexpr Index n = 2048;
  Workspace<Device> workspace_{3 * n * n * sizeof(float) + 1024};
  Context<Device> context_{workspace_};
  linalg::Matrix<float> a_ = workspace_.push<float**>(n, n), b_ = workspace_.push<float**>(n, n),
                        c_ = workspace_.push<float**>(n, n);
};

/// Steps and large products in turns, and the medians of their time, rate and share of the bound.
class SharesOfBound {
 public:
  explicit SharesOfBound(double multiply_adds) : multiply_adds_(multiply_adds) {}

  void add(double seconds) {
    seconds_.push_back(seconds);
    rates_.push_back(product_.rate());
    shares_.push_back(multiply_adds_ / rates_.back() / seconds);
  }
  void tell(benchmark::State& state) const {
    state.counters["median_ms"] = 1e3 * median(seconds_);
    state.counters["of_bound"] = median(shares_);
    state.counters["sgemm_GF/s"] = 2e-9 * median(rates_);
  }

 private:
  double multiply_adds_;
  LargeProduct product_;
  std::vector<double> seconds_, rates_, shares_;
};

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
