// What this machine does, as a description that planning/ reads: products, passes over memory and collectives, each
// measured while all ranks work, as many as a node is meant to run.
//
//     OMP_NUM_THREADS=1 mpirun -n 2 benchmark_calibrate --output machine.json
//
// Writes the JSON and prints a line a figure. Takes about ten seconds.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <dchag/io/atomic_file.hpp>
#include <dchag/planning/machine.hpp>
#include <span>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "front_end_run.hpp"

namespace {

using namespace dchag;
using benchmarks::Device;

struct Options {
  std::string output, name = "this machine";
  double memory = 0;  // GiB; 0: what the host has
  int nodes = 0;
};

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
    return benchmarks::median(all);
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

Kokkos::View<float*, Device> ones(Index count) {
  Kokkos::View<float*, Device> const view("ones", static_cast<std::size_t>(count));
  Kokkos::deep_copy(view, 1.0f);
  return view;
}

/// Multiply-adds a second of a product of the shape of a transformer's: some thousand rows of 512 features.
template <class T>
double product_rate(Context<Device> const& context, Stopwatch const& watch) {
  Index const rows = on_host<Device> ? 1024 : 8192, features = on_host<Device> ? 512 : 4096;
  auto const matrix = [](Index r, Index c) {
    Kokkos::View<T*, Device> const view("matrix", static_cast<std::size_t>(r * c));
    Kokkos::deep_copy(view, T{1});
    return view;
  };
  auto const a = matrix(rows, features), b = matrix(features, features), c = matrix(rows, features);
  double const seconds = watch.seconds([&] {
    linalg::gemm(context, linalg::Op::none, linalg::Op::transpose, T{1}, {a.data(), rows, features},
                 {b.data(), features, features}, T{0}, linalg::Matrix<T>(c.data(), rows, features));
  });
  return static_cast<double>(rows * features * features) / seconds;
}

/// z = x + y / 2
void triad(Context<Device> const& context, Index count, float const* x, float const* y, float* z) {
  constexpr int lanes = lane_count<float, Device>;
  using L = Lanes<float, lanes>;
  context.loop(
      "triad", count / lanes,
      KOKKOS_LAMBDA(Index i) { store(z + i * lanes, load<L>(x + i * lanes) + 0.5f * load<L>(y + i * lanes)); });
}

void one_thing(Context<Device> const& context, float* number) {
  context.loop(
      "launch", 1, KOKKOS_LAMBDA(Index i) { number[i] = 1; });
}

/// Bytes a second of triad() over that many bytes in all.
double triad_rate(Context<Device> const& context, Stopwatch const& watch, double bytes) {
  Index const count = static_cast<Index>(bytes / 12) / 64 * 64;
  auto const a = ones(count), b = ones(count), c = ones(count);
  double const seconds = watch.seconds([&] { triad(context, count, a.data(), b.data(), c.data()); });
  return 12.0 * static_cast<double>(count) / seconds;
}

/// Multiply-adds a second, as the plan counts them, of the front end's largest loop that is no product and of GELU: the
/// geometric mean of the two.
double loop_rate(Context<Device> const& context, Stopwatch const& watch) {
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
Link link_of(Context<Device> const& context, Communicator const& ranks) {
  if (ranks.size() == 1) return {1e-7, 1e10};
  Stopwatch const watch(ranks);
  auto const number = ones(1), numbers = ones(1 << 20);
  double const n = ranks.size(), steps = 2 * std::ceil(std::log2(n));
  double const latency = watch.seconds([&] { ranks.all_reduce(context, number); }) / steps;
  double const large = watch.seconds([&] { ranks.all_reduce(context, numbers); });
  return {latency, 2 * (n - 1) / n * static_cast<double>(4 << 20) / std::max(large - steps * latency, 1e-9)};
}

Machine calibrated(Communicator const& world, Options const& options) {
  Workspace<Device> workspace(std::size_t{128} << 20);
  Context<Device> const context(workspace);
  Stopwatch const watch(world);
  MPI_Comm shared = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank(), MPI_INFO_NULL, &shared);
  Communicator const node(shared);
  MPI_Comm_free(&shared);

  Machine machine;
  machine.name = options.name;
  machine.ranks_a_node = node.size();
  machine.nodes = options.nodes;
  double const host = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  machine.memory = (options.memory > 0 ? options.memory * 1024 * 1024 * 1024 : host / node.size());
  machine.float_rate = product_rate<float>(context, watch);
  machine.double_rate = product_rate<double>(context, watch);
  // Rounding included; hosts have no products of bfloat16.
  if (!on_host<Device>) machine.bfloat16_rate = product_rate<float>(context.with(Products::bfloat16), watch);
  machine.loop_rate = loop_rate(context, watch);
  double const mebibyte = 1024 * 1024;
  machine.bandwidth = triad_rate(context, watch, 256 * mebibyte);
  for (double mebibytes = 32; on_host<Device> && machine.cache == 0 && mebibytes >= 0.25; mebibytes /= 2) {
    double const rate = triad_rate(context, watch, mebibytes * mebibyte);
    // Of a cache that ranks share, loops find little of what others left.
    if (rate < 3 * machine.bandwidth) continue;
    machine.cache = mebibytes * mebibyte;
    machine.cache_bandwidth = rate;
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

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return benchmarks::main_of(
      "Measures this machine for planning", argc, argv,
      [&](CLI::App& app) {
        app.add_option("--output", options.output, "file of the machine's JSON; none: it is not written");
        app.add_option("--name", options.name, "of the machine");
        app.add_option("--memory-gib", options.memory, "of a rank; 0: its share of the host's")
            ->check(benchmarks::at_least(0));
        app.add_option("--nodes", options.nodes, "that there are; 0: as many as are asked for")
            ->check(benchmarks::at_least(0));
      },
      [&](Environment& environment) {
        Machine const machine = calibrated(environment.world(), options);
        machine.check();
        if (environment.world().rank() != 0) return 0;
        Json const json = machine.json();
        for (auto const& [field, value] : json_object(json, "machine"))
          std::printf("%-20s %s\n", field.c_str(), dump_json(value).c_str());
        if (options.output.empty()) return 0;
        std::string const text = dump_json(json) + "\n";
        AtomicFile file(options.output);
        file.write(std::as_bytes(std::span(text)));
        file.commit();
        return 0;
      });
}
