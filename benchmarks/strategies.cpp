// Ways to share a model of many channels among ranks, measured in one run on 2 or 4 ranks of one thread each:
//
//     OMP_NUM_THREADS=1 mpirun -n 2 benchmark_strategies
//
// Plain tensor parallelism is what D-CHAG was published against (arXiv 2506.21411): every rank tokenizes all channels,
// heads are divided, the sums of the results forward and of the tokens' gradients backward are all-reduces. Then D-CHAG
// as published, with one Linear (L) or one CrossAttention (C) a rank below the last unit; then the same model as plain
// tensor parallelism, flat, with what ranks know merged; then the trees of L and C, evaluated and joined by Auto.
// The strategies take turns. Prints a line each: time, memory and bytes sent of a rank, and their ratios to the first.
#include <cstdio>
#include <dchag/dchag.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "strategy_list.hpp"

namespace {

using namespace dchag;
using benchmarks::Device;
using benchmarks::Shape;

struct Options {
  std::vector<Index> channels{80, 500};
  Index height = 32, width = 64, patch = 2, embed = 256, heads = 8, depth = 2;
  int turns = 3;

  Index rows() const { return height / patch * (width / patch); }
};

/// A strategy in storage. All ranks call step(), which answers this rank's seconds.
struct Candidate {
  std::string name;
  std::function<double()> step;
  std::size_t bytes;  // on this rank
};

struct Measured {
  std::string name;
  double milliseconds = 0, mebibytes = 0;  // median step of the slowest rank; on the rank that needs most
  Traffic traffic;                         // of rank 0 in a step
};

/// The candidates, taking turns.
std::vector<Measured> measure(Communicator const& ranks, std::vector<Candidate> const& candidates, int turns) {
  std::vector<Measured> all;
  std::vector<std::vector<double>> seconds(candidates.size());
  for (Candidate const& candidate : candidates) {
    candidate.step();
    ranks.reset_traffic();
    candidate.step();
    Traffic const traffic = ranks.traffic();
    double const bytes = ranks.all_reduce(static_cast<double>(candidate.bytes), Reduction::max);
    all.push_back({candidate.name, 0, bytes / (1 << 20), traffic});
  }
  for (int turn = 0; turn < turns; ++turn)
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      ranks.barrier();
      seconds[i].push_back(ranks.all_reduce(candidates[i].step(), Reduction::max));
    }
  for (std::size_t i = 0; i < candidates.size(); ++i) all[i].milliseconds = 1e3 * benchmarks::median(seconds[i]);
  return all;
}

/// A front end alone, forward and backward: without the sums over ranks of gradients, which a step of training has.
template <class S>
Candidate front_end(S, std::string name, Mesh const& mesh, Options const& options, Index channels) {
  Shape const shape{options.rows(), channels, options.patch, options.embed, options.heads};
  auto const run = std::make_shared<typename S::Run>(shape, mesh.model());
  return {std::move(name), [run] { return run->step(); }, run->bytes()};
}

/// A step of training a Forecaster.
template <class S>
Candidate training(S, std::string name, Mesh const& mesh, Options const& options, Index channels) {
  ForecasterConfig config;
  config.channels = channels;
  config.out_channels = 3;
  config.height = options.height;
  config.width = options.width;
  config.patch = options.patch;
  config.embed = options.embed;
  config.heads = options.heads;
  config.depth = options.depth;
  auto const run = std::make_shared<benchmarks::ForecastRun<typename S::Model>>(mesh, config);
  return {std::move(name),
          [run] {
            run->step();
            return run->seconds();
          },
          run->held_bytes() + run->passing_bytes()};
}

void print(std::vector<Measured> const& front_ends, std::vector<Measured> const& steps) {
  auto const mebibytes = [](Index bytes) { return static_cast<double>(bytes) / (1 << 20); };
  std::printf("%-25s | front end, forward + backward            | step of training\n", "");
  std::printf("%-25s | %8s %6s %8s %6s %8s | %8s %6s %8s %6s %10s %10s %9s\n", "", "ms", "speed", "MiB", "memory",
              "sent MiB", "ms", "speed", "MiB", "memory", "all-reduce", "all-gather", "broadcast");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Measured const &front = front_ends[i], &step = steps[i];
    auto const speed = [](Measured const& first, Measured const& one) { return first.milliseconds / one.milliseconds; };
    auto const memory = [](Measured const& first, Measured const& one) {
      return 100 * one.mebibytes / first.mebibytes;
    };
    std::printf("%-25s | %8.1f %5.1fx %8.1f %5.1f%% %8.2f | %8.1f %5.1fx %8.1f %5.1f%% %10.2f %10.2f %9.2f\n",
                step.name.c_str(), front.milliseconds, speed(front_ends[0], front), front.mebibytes,
                memory(front_ends[0], front), mebibytes(front.traffic.bytes()), step.milliseconds,
                speed(steps[0], step), step.mebibytes, memory(steps[0], step), mebibytes(step.traffic.all_reduce.bytes),
                mebibytes(step.traffic.all_gather.bytes), mebibytes(step.traffic.broadcast.bytes));
  }
  std::fflush(stdout);
}

template <Index ranks>
void compare(Mesh const& mesh, Options const& options) {
  for (Index const channels : options.channels) {
    auto const measured = [&](auto const& make) {
      std::vector<Candidate> candidates;
      benchmarks::each_strategy<ranks>([&](auto strategy, char const* name) {
        candidates.push_back(make(strategy, name, mesh, options, channels));
      });
      return measure(mesh.model(), candidates, options.turns);
    };
    auto const front_ends = measured([](auto... arguments) { return front_end(arguments...); });
    auto const steps = measured([](auto... arguments) { return training(arguments...); });
    if (mesh.model().rank() != 0) continue;
    std::printf("\n%lld ranks, %lld channels, image of %lld x %lld, patch %lld, D = %lld, %lld heads, %lld blocks\n",
                static_cast<long long>(ranks), static_cast<long long>(channels), static_cast<long long>(options.height),
                static_cast<long long>(options.width), static_cast<long long>(options.patch),
                static_cast<long long>(options.embed), static_cast<long long>(options.heads),
                static_cast<long long>(options.depth));
    print(front_ends, steps);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return benchmarks::main_of(
      "Strategies of sharing a model of many channels among 2 or 4 ranks", argc, argv,
      [&](CLI::App& app) {
        app.add_option("--channels", options.channels, "of an image; a table for each number")
            ->check(benchmarks::at_least(1));
        app.add_option("--height", options.height, "of an image, pixels")->check(benchmarks::at_least(1));
        app.add_option("--width", options.width, "of an image, pixels")->check(benchmarks::at_least(1));
        app.add_option("--patch", options.patch, "edge of a patch, pixels")->check(benchmarks::at_least(1));
        app.add_option("--embed", options.embed, "features of a token")->check(benchmarks::at_least(1));
        app.add_option("--heads", options.heads, "of every attention")->check(benchmarks::at_least(1));
        app.add_option("--depth", options.depth, "blocks of the transformer")->check(benchmarks::at_least(0));
        app.add_option("--turns", options.turns, "steps of each strategy that are timed")
            ->check(benchmarks::at_least(1));
      },
      [&](Environment& environment) {
        int const ranks = environment.world().size();
        Mesh const mesh(environment.world(), {.model = ranks});
        if (ranks == 2)
          compare<2>(mesh, options);
        else if (ranks == 4)
          compare<4>(mesh, options);
        else
          fail("strategies: the job has ", ranks, " ranks: start it with mpirun -n 2 or -n 4");
        return 0;
      });
}
