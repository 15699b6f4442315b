// A transformer's trunk, forward and backward with the gradient of its input: time, the bound (its multiply-adds at the
// rate of one large product, measured in turns), their ratio, and the bytes of workspace.
#include <benchmark/benchmark.h>

#include <Kokkos_Timer.hpp>
#include <dchag/parallel/environment.hpp>
#include <string>

#include "rates.hpp"
#include "trunk_run.hpp"

namespace {

using namespace dchag;

void trunk(benchmark::State& state, TransformerConfig config, Index locations) {
  benchmarks::TrunkRun run(config, locations);
  benchmarks::SharesOfBound shares(run.operations());
  for (auto _ : state) {
    Kokkos::Timer const timer;
    run.step();
    double const seconds = timer.seconds();
    state.SetIterationTime(seconds);
    shares.add(seconds);
  }
  shares.tell(state);
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
