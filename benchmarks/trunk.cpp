// A transformer's trunk, forward and backward with the gradient of its input: time, the bound (its multiply-adds at the
// rate of one large product, measured in the same run), their ratio, and the bytes of workspace.
#include <benchmark/benchmark.h>

#include <Kokkos_Timer.hpp>
#include <algorithm>
#include <dchag/parallel/environment.hpp>
#include <string>
#include <vector>

#include "rates.hpp"
#include "trunk_run.hpp"

namespace {

using namespace dchag;

void trunk(benchmark::State& state, TransformerConfig config, Index locations) {
  benchmarks::TrunkRun run(config, locations);
  double const before = benchmarks::product_rate();
  std::vector<double> seconds;
  for (auto _ : state) {
    Kokkos::Timer const timer;
    run.step();
    seconds.push_back(timer.seconds());
    state.SetIterationTime(seconds.back());
  }
  double const median = benchmarks::median(seconds), rate = std::max(before, benchmarks::product_rate());
  double const bound = run.operations() / rate;
  state.counters["median_ms"] = 1e3 * median;
  state.counters["bound_ms"] = 1e3 * bound;
  state.counters["of_bound"] = bound / median;
  state.counters["sgemm_GF/s"] = 2e-9 * rate;
  state.counters["workspace_MiB"] = static_cast<double>(run.workspace_bytes()) / (1 << 20);
}

void add(TransformerConfig const& config, Index locations) {
  std::string const name = "trunk/" + std::to_string(locations) + "_rows/D_" + std::to_string(config.embed) +
                           "/depth_" + std::to_string(config.depth) + "/h_" + std::to_string(config.heads);
  benchmark::RegisterBenchmark(name.c_str(), trunk, config, locations)->UseManualTime()->Iterations(15);
}

}  // namespace

int main(int argc, char** argv) {
  Environment const environment(argc, argv);
  add({.embed = 512, .heads = 8, .depth = 8}, 512);
  add({.embed = 256, .heads = 8, .depth = 6}, 648);
  add({.embed = 1024, .heads = 16, .depth = 2}, 512);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
