#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <dchag/planning/machine.hpp>
#include <string>
#include <vector>

#include "front_end_run.hpp"
#include "timing.hpp"

// What this machine does, as planning/ describes machines: products, passes over memory and collectives, each measured
// while all ranks work.
namespace dchag::benchmarks {

namespace calibration {

/// Times things that all ranks do at once.
class Stopwatch {
 public:
  explicit Stopwatch(Communicator ranks) : ranks_(std::move(ranks)) {}

  /// Median seconds of an action of the slowest rank, of 7 that take 20 ms each or more, by repeating it in them.
  template <class Action>
  double seconds(Action const& action) const {
    int repeats = 1;
    while (run(action, repeats) < 0.02 && repeats < 1 << 22) repeats *= 2;
    std::vector<double> all;
    for (int turn = 0; turn < 7; ++turn) all.push_back(run(action, repeats) / repeats);
    return median(all);
  }

 private:
  template <class Action>
  double run(Action const& action, int repeats) const {
    ranks_.barrier();
    Kokkos::Timer const timer;
    for (int i = 0; i < repeats; ++i) action();
    Device().fence("calibrate");
    return ranks_.all_reduce(timer.seconds(), Reduction::max);
  }

  Communicator ranks_;
};

inline Kokkos::View<float*, Device> ones(Index count) {
  Kokkos::View<float*, Device> const view("ones", static_cast<std::size_t>(count));
  Kokkos::deep_copy(view, 1.0f);
  return view;
}

/// Products of so many pairs of matrices.
struct ProductShape {
  Index count, rows, inner, columns;
  linalg::Op b_op;

  double multiply_adds() const { return static_cast<double>(count * rows * inner * columns); }
  template <class T>
  double bytes() const {
    return static_cast<double>(count * (rows * inner + inner * columns + rows * columns)) * sizeof(T);
  }
};

template <class T>
double product_seconds(Context<Device> const& context, Stopwatch const& watch, ProductShape const& of) {
  auto const batch = [&](Index rows, Index columns) {
    Kokkos::View<T*, Device> const numbers("matrices", static_cast<std::size_t>(of.count * rows * columns));
    Kokkos::deep_copy(numbers, T{1});
    return numbers;
  };
  bool const turned = of.b_op == linalg::Op::transpose;
  auto const a = batch(of.rows, of.inner), b = batch(of.inner, of.columns), c = batch(of.rows, of.columns);
  linalg::Matrix<T const> const right(b.data(), turned ? of.columns : of.inner, turned ? of.inner : of.columns);
  return watch.seconds([&] {
    linalg::batched_gemm(context, linalg::Op::none, of.b_op, T{1},
                         {{a.data(), of.rows, of.inner}, of.count, of.rows * of.inner},
                         {right, of.count, of.inner * of.columns}, T{0},
                         {linalg::Matrix<T>(c.data(), of.rows, of.columns), of.count, of.rows * of.columns});
  });
}

/// Multiply-adds a second of a product of the shape of a transformer's: some thousand rows of 512 features or more.
template <class T>
double product_rate(Context<Device> const& context, Stopwatch const& watch) {
  using linalg::Op;
  ProductShape const large = on_host<Device> ? ProductShape{1, 1024, 512, 512, Op::transpose}
                                             : ProductShape{1, 8192, 4096, 4096, Op::transpose};
  return large.multiply_adds() / product_seconds<T>(context, watch, large);
}

/// Machine::half_side by products of the front end's shapes, on a machine whose other figures are known: the median.
inline double half_side(Context<Device> const& context, Stopwatch const& watch, Machine const& machine) {
  using linalg::Op;
  std::vector<double> sides;
  for (ProductShape const& shape : {ProductShape{32, 256, 32, 128, Op::none},
                                    {32, 32, 256, 128, Op::none},
                                    {32, 32, 128, 256, Op::transpose},
                                    {8, 512, 32, 512, Op::transpose},
                                    {8, 512, 512, 32, Op::none}}) {
    double const side = static_cast<double>(std::min({shape.rows, shape.inner, shape.columns}));
    double const rest = product_seconds<float>(context, watch, shape) - shape.bytes<float>() / machine.bandwidth;
    sides.push_back(std::max(0.0, side * (rest * machine.float_rate / shape.multiply_adds() - 1)));
  }
  return median(sides);
}

/// z = x + y / 2
inline void triad(Context<Device> const& context, Index count, float const* x, float const* y, float* z) {
  constexpr int lanes = lane_count<float, Device>;
  using L = Lanes<float, lanes>;
  context.loop(
      "triad", count / lanes,
      KOKKOS_LAMBDA(Index i) { store(z + i * lanes, load<L>(x + i * lanes) + 0.5f * load<L>(y + i * lanes)); });
}

inline void one_thing(Context<Device> const& context, float* number) {
  context.loop(
      "launch", 1, KOKKOS_LAMBDA(Index i) { number[i] = 1; });
}

/// Bytes a second of triad() over that many bytes in all.
inline double triad_rate(Context<Device> const& context, Stopwatch const& watch, double bytes) {
  Index const count = static_cast<Index>(bytes / 12) / 64 * 64;
  auto const a = ones(count), b = ones(count), c = ones(count);
  double const seconds = watch.seconds([&] { triad(context, count, a.data(), b.data(), c.data()); });
  return 12.0 * static_cast<double>(count) / seconds;
}

/// Multiply-adds a second, as the plan counts them, of the front end's largest loop that is no product and of GELU: the
/// geometric mean of the two.
inline double loop_rate(Context<Device> const& context, Stopwatch const& watch) {
  Index const heads = 8, embed = 256, channels = 16;
  Tiling const tiling = Tiling::of<float, Device>(128);
  auto const a = ones(channels * heads * tiling.pitch), t = ones(channels * embed * tiling.pitch),
             sum = ones(heads * embed * tiling.pitch), u = ones(128 * 256), y = ones(128 * 256);
  double const weighted = watch.seconds([&] {
    channels::kernels::weighted_sum<float>(context, tiling, channels, heads, embed, a.data(), t.data(),
                                           static_cast<float const*>(nullptr), false, sum.data());
  });
  double const gelu = watch.seconds([&] {
    layers::gelu<Device, float>(context, linalg::Matrix<float const>(u.data(), 128, 256),
                                linalg::Matrix<float>(y.data(), 128, 256));
  });
  double const first = static_cast<double>(channels * heads * embed * tiling.width) / weighted,
               second = 30.0 * 128 * 256 / gelu;
  return std::sqrt(first * second);
}

/// Of a group, by all-reduces of one number and of 4 MiB, which a collective's cost is counted for in the plan's way.
inline Link link_of(Context<Device> const& context, Communicator const& ranks) {
  if (ranks.size() == 1) return {1e-7, 1e10};
  Stopwatch const watch(ranks);
  auto const number = ones(1), numbers = ones(1 << 20);
  double const n = ranks.size(), steps = 2 * std::ceil(std::log2(n));
  double const latency = watch.seconds([&] { ranks.all_reduce(context, number); }) / steps;
  double const large = watch.seconds([&] { ranks.all_reduce(context, numbers); });
  return {latency, 2 * (n - 1) / n * static_cast<double>(4 << 20) / std::max(large - steps * latency, 1e-9)};
}

/// Bytes and bandwidth of a cache in which loops run at half the speed of small ones or more.
inline void measure_cache(Context<Device> const& context, Stopwatch const& watch, Machine& machine) {
  double const mebibyte = 1024 * 1024;
  double best = 0;
  for (double bytes = mebibyte / 4; bytes <= 32 * mebibyte; bytes *= 2) {
    double const rate = triad_rate(context, watch, bytes);
    best = std::max(best, rate);
    if (rate < best / 2 || rate < 1.5 * machine.bandwidth) return;
    machine.cache = bytes;
    machine.cache_bandwidth = rate;
  }
}

}  // namespace calibration

/// This machine, with as many ranks as a node is meant to run: all of the job's, which all call. Takes a few seconds.
/// `memory` bytes a rank; 0: its share of the host's.
inline Machine calibrated(Communicator const& world, double memory = 0) {
  using namespace calibration;
  Workspace<Device> workspace(std::size_t{128} << 20);
  Context<Device> const context(workspace);
  Stopwatch const watch(world);
  MPI_Comm shared = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank(), MPI_INFO_NULL, &shared);
  Communicator const node(shared);
  MPI_Comm_free(&shared);

  Machine machine;
  machine.name = "this machine";
  machine.ranks_a_node = node.size();
  double const host = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  machine.memory = memory > 0 ? memory : host / node.size();
  machine.bandwidth = triad_rate(context, watch, 256.0 * 1024 * 1024);
  machine.float_rate = product_rate<float>(context, watch);
  machine.double_rate = product_rate<double>(context, watch);
  // Rounding included; hosts have no products of bfloat16.
  if (!on_host<Device>) machine.bfloat16_rate = product_rate<float>(context.with(Products::bfloat16), watch);
  machine.loop_rate = loop_rate(context, watch);
  if (on_host<Device>) {
    measure_cache(context, watch, machine);
    machine.half_side = half_side(context, watch, machine);
  }
  auto const one = ones(1);
  machine.launch = watch.seconds([&] { one_thing(context, one.data()); });
  machine.node = link_of(context, node);
  machine.network = world.size() > node.size() ? link_of(context, world) : machine.node;
  machine.device = !on_host<Device>;
  machine.overlaps = !on_host<Device>;  // MPI moves data in its calls alone, where no other thread does
  machine.source = "benchmark_calibrate: " + std::to_string(world.size()) + " ranks, " + Device::name() + " x " +
                   std::to_string(context.space().concurrency());
  return machine;
}

}  // namespace dchag::benchmarks
