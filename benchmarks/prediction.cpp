// The time of a step as planned against the time measured, of the strategies and the sizes of
// benchmarks/strategies.cpp:
//
//     OMP_NUM_THREADS=1 mpirun -n 2 benchmark_calibrate --nodes 1 --output machine.json
//     OMP_NUM_THREADS=1 mpirun -n 2 benchmark_prediction --machine machine.json
//
// Prints a line a strategy, and the largest error.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <dchag/planning/time.hpp>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "training_run.hpp"

namespace {

using namespace dchag;
using benchmarks::Device;

struct Options {
  std::string machine;
  std::vector<Index> channels{80, 500};
  Index embed = 256;
  int turns = 5;
};

template <class PartitionPolicy, class TreePolicy, class JoinPolicy, class Evaluation>
using Model = Forecaster<Partition<PartitionPolicy>, TreePolicy, Join<JoinPolicy>, Evaluate<Evaluation>,
                         Parallel<Tensor>, Space<Device>>;

/// Median seconds of a step of the slowest rank.
template <class M>
double measured_seconds(Mesh const& mesh, ForecasterConfig const& config, int turns) {
  benchmarks::ForecastRun<M> run(mesh, config);
  std::vector<double> seconds;
  for (int turn = 0; turn < turns; ++turn) {
    mesh.world().barrier();
    run.step();
    seconds.push_back(mesh.world().all_reduce(run.seconds(), Reduction::max));
  }
  return benchmarks::median(seconds);
}

/// Answers planned over measured.
template <class M>
double compare(char const* name, Mesh const& mesh, Machine const& machine, Options const& options, Index channels) {
  ForecasterConfig config = benchmarks::small_forecast(channels);
  config.embed = options.embed;
  int const ranks = mesh.world().size();
  PlannedTime const time = planned_time(plan<M>(Mesh::planned(ranks, {.model = ranks}), config), machine);
  double const measured = measured_seconds<M>(mesh, config, options.turns);
  if (mesh.world().rank() == 0)
    std::printf("%-25s %4lld | %8.1f = %8.1f + %8.1f + %8.1f | %8.1f | %5.2f\n", name, static_cast<long long>(channels),
                1e3 * time.step, 1e3 * time.products, 1e3 * time.loops, 1e3 * time.communication, 1e3 * measured,
                time.step / measured);
  std::fflush(stdout);
  return time.step / measured;
}

template <Index ranks>
void compare_all(Mesh const& mesh, Machine const& machine, Options const& options) {
  using Flat = Tree<CrossAttention<1>>;
  using TreeL = Tree<Linear<ranks>, CrossAttention<1>>;
  using TreeC = Tree<CrossAttention<ranks>, CrossAttention<1>>;
  if (mesh.world().rank() == 0)
    std::printf("%lld ranks, D = %lld\n%-30s | planned ms = products + loops + communication | measured | ratio\n",
                static_cast<long long>(ranks), static_cast<long long>(options.embed), "strategy, channels");
  std::vector<double> ratios;
  for (Index const c : options.channels) {
    auto const add = [&]<class M>(std::type_identity<M>, char const* name) {
      ratios.push_back(compare<M>(name, mesh, machine, options, c));
    };
    add(std::type_identity<Model<Everywhere, Flat, Auto, Materialized>>(), "plain tensor parallelism");
    add(std::type_identity<Model<Contiguous, TreeL, Gather, Materialized>>(), "D-CHAG L as published");
    add(std::type_identity<Model<Contiguous, TreeC, Gather, Materialized>>(), "D-CHAG C as published");
    add(std::type_identity<Model<Contiguous, Flat, Merge, Auto>>(), "flat, merged");
    add(std::type_identity<Model<Contiguous, TreeL, Auto, Auto>>(), "tree of L, Auto");
    add(std::type_identity<Model<Contiguous, TreeC, Auto, Auto>>(), "tree of C, Auto");
  }
  if (mesh.world().rank() != 0) return;
  auto const [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  std::printf("planned over measured: %.2f to %.2f\n", *least, *most);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return benchmarks::main_of(
      "The planned time of steps against the measured one, on 1, 2, 4 or 8 ranks", argc, argv,
      [&](CLI::App& app) {
        app.add_option("--machine", options.machine, "JSON of this machine, by benchmark_calibrate")->required();
        app.add_option("--channels", options.channels, "of an image")->check(benchmarks::at_least(1));
        app.add_option("--embed", options.embed, "features of a token")->check(benchmarks::at_least(1));
        app.add_option("--turns", options.turns, "steps of each strategy that are timed")
            ->check(benchmarks::at_least(1));
      },
      [&](Environment& environment) {
        int const ranks = environment.world().size();
        Machine const machine = read_machine(options.machine);
        Mesh const mesh(environment.world(), {.model = ranks});
        switch (ranks) {
          case 1:
            compare_all<1>(mesh, machine, options);
            break;
          case 2:
            compare_all<2>(mesh, machine, options);
            break;
          case 4:
            compare_all<4>(mesh, machine, options);
            break;
          case 8:
            compare_all<8>(mesh, machine, options);
            break;
          default:
            fail("prediction: the job has ", ranks, " ranks: start it with mpirun -n 1, 2, 4 or 8");
        }
        return 0;
      });
}
