// The channel front end, forward and backward, in each order of evaluation: time, the bound (multiply-adds of the order
// at the rate of one large product, measured in turns), their ratio, and the bytes of workspace.
#include <benchmark/benchmark.h>

#include <dchag/parallel/environment.hpp>
#include <string>

#include "front_end_run.hpp"
#include "rates.hpp"

namespace {

using namespace dchag;
using benchmarks::Shape;

template <class Evaluation>
void front_end(benchmark::State& state, Shape shape, Order order) {
  benchmarks::FrontEndRun<Evaluation> run(shape);
  benchmarks::SharesOfBound shares(evaluation_operations(order, shape.unit()).total());
  for (auto _ : state) {
    double const seconds = run.step();
    state.SetIterationTime(seconds);
    shares.add(seconds);
  }
  shares.tell(state);
  state.counters["workspace_MiB"] = static_cast<double>(run.workspace_bytes()) / (1 << 20);
}

template <class Evaluation>
void add(std::string const& name, Shape shape, int iterations) {
  Order const order = Evaluation::choose(shape.unit());
  std::string const label = name + "/" + std::to_string(shape.rows) + "_rows/" + std::to_string(shape.channels) +
                            "_channels/P_" + std::to_string(shape.unit().patch) + "/D_" + std::to_string(shape.embed) +
                            "/h_" + std::to_string(shape.heads);
  benchmark::RegisterBenchmark(label.c_str(), front_end<Evaluation>, shape, order)
      ->UseManualTime()
      ->Iterations(iterations);
}

}  // namespace

int main(int argc, char** argv) {
  Environment const environment(argc, argv);
  for (Shape shape : {Shape{512, 80, 2, 512, 8}, Shape{324, 200, 8, 256, 8}, Shape{256, 500, 8, 512, 8},
                      Shape{64, 500, 16, 512, 8}}) {
    add<Auto>("Auto", shape, 30);
    add<PatchSpace>("PatchSpace", shape, 7);
    add<TokenSpace>("TokenSpace", shape, 7);
    add<Materialized>("Materialized", shape, 3);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
