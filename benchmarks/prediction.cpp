// The time of a step as planned against the time measured, of the strategies and the sizes of
// benchmarks/strategies.cpp. The same ranks calibrate the machine before each turn:
//
//     OMP_NUM_THREADS=1 mpirun -n 2 benchmark_prediction
//
// Prints a line a strategy, medians of the turns, and the least and the largest of the ratios.
#include <algorithm>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <dchag/planning/time.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "calibration.hpp"
#include "command_line.hpp"
#include "strategy_list.hpp"

namespace {

using namespace dchag;

struct Options {
  std::vector<Index> channels{80, 500};
  Index embed = 256;
  int turns = 5;
};

/// A strategy in storage, its plan, and what each turn planned and measured, in seconds.
struct Candidate {
  std::string name;
  Plan plan;
  std::function<double()> step;  // of the slowest rank; all ranks call it
  std::vector<PlannedTime> planned;
  std::vector<double> measured;

  void take_turn(Machine const& machine) {
    planned.push_back(planned_time(plan, machine));
    measured.push_back(step());
  }
  /// Of planned over measured in each turn.
  double ratio() const {
    std::vector<double> ratios;
    for (std::size_t turn = 0; turn < measured.size(); ++turn) ratios.push_back(planned[turn].step / measured[turn]);
    return benchmarks::median(ratios);
  }
  double planned_milliseconds(double PlannedTime::*part) const {
    std::vector<double> all;
    for (PlannedTime const& one : planned) all.push_back(1e3 * (one.*part));
    return benchmarks::median(all);
  }
};

template <class M>
Candidate candidate(char const* name, Mesh const& mesh, ForecasterConfig const& config) {
  int const ranks = mesh.world().size();
  auto const run = std::make_shared<benchmarks::ForecastRun<M>>(mesh, config);
  auto const step = [run, world = mesh.world()] {
    world.barrier();
    run->step();
    return world.all_reduce(run->seconds(), Reduction::max);
  };
  return {name, plan<M>(Mesh::planned(ranks, {.model = ranks}), config), step, {}, {}};
}

void print(Candidate const& one, Index channels) {
  std::printf("%-25s %4lld | %8.1f = %8.1f + %8.1f + %8.1f | %8.1f | %5.2f\n", one.name.c_str(),
              static_cast<long long>(channels), one.planned_milliseconds(&PlannedTime::step),
              one.planned_milliseconds(&PlannedTime::products), one.planned_milliseconds(&PlannedTime::loops),
              one.planned_milliseconds(&PlannedTime::communication), 1e3 * benchmarks::median(one.measured),
              one.ratio());
  std::fflush(stdout);
}

template <Index ranks>
void compare(Mesh const& mesh, Options const& options) {
  bool const speaks = mesh.world().rank() == 0;
  if (speaks)
    std::printf("%lld ranks, D = %lld\n%-30s | planned ms = products + loops + communication | measured | ratio\n",
                static_cast<long long>(ranks), static_cast<long long>(options.embed), "strategy, channels");
  std::vector<double> ratios;
  for (Index const channels : options.channels) {
    ForecasterConfig config = benchmarks::small_forecast(channels);
    config.embed = options.embed;
    std::vector<Candidate> all;
    benchmarks::each_strategy<ranks>([&](auto strategy, char const* name) {
      all.push_back(candidate<typename decltype(strategy)::Model>(name, mesh, config));
    });
    for (int turn = 0; turn < options.turns; ++turn) {
      Machine const machine = benchmarks::calibrated(mesh.world());
      for (Candidate& one : all) one.take_turn(machine);
    }
    for (Candidate const& one : all) {
      ratios.push_back(one.ratio());
      if (speaks) print(one, channels);
    }
  }
  auto const [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  if (speaks) std::printf("planned over measured: %.2f to %.2f\n", *least, *most);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return benchmarks::main_of(
      "The planned time of steps against the measured one, on 1, 2, 4 or 8 ranks", argc, argv,
      [&](CLI::App& app) {
        app.add_option("--channels", options.channels, "of an image")->check(benchmarks::at_least(1));
        app.add_option("--embed", options.embed, "features of a token")->check(benchmarks::at_least(1));
        app.add_option("--turns", options.turns, "calibrations, each followed by a step of every strategy")
            ->check(benchmarks::at_least(1));
      },
      [&](Environment& environment) {
        int const ranks = environment.world().size();
        Mesh const mesh(environment.world(), {.model = ranks});
        switch (ranks) {
          case 1:
            compare<1>(mesh, options);
            break;
          case 2:
            compare<2>(mesh, options);
            break;
          case 4:
            compare<4>(mesh, options);
            break;
          case 8:
            compare<8>(mesh, options);
            break;
          default:
            fail("prediction: the job has ", ranks, " ranks: start it with mpirun -n 1, 2, 4 or 8");
        }
        return 0;
      });
}
