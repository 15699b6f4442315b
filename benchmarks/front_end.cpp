// The channel front end, forward and backward, in each order of evaluation: time, the bound (multiply-adds of the order
// at the rate of one large product, measured in the same run), their ratio, and the bytes of workspace.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <dchag/parallel/environment.hpp>
#include <string>
#include <vector>

#include "front_end_run.hpp"

namespace {

using namespace dchag;
using benchmarks::Device;
using benchmarks::Shape;

/// Multiply-adds a second of one product of 2048-cubed matrices: the best of several, as a bound should be.
double product_rate() {
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

template <class Evaluation>
void front_end(benchmark::State& state, Shape shape, Order order) {
  benchmarks::FrontEndRun<Evaluation> run(shape);
  std::vector<double> seconds;
  for (auto _ : state) {
    seconds.push_back(run.step());
    state.SetIterationTime(seconds.back());
  }
  double const median = benchmarks::median(seconds), rate = product_rate();
  double const bound = evaluation_operations(order, shape.unit()).total() / rate;
  state.counters["median_ms"] = 1e3 * median;
  state.counters["bound_ms"] = 1e3 * bound;
  state.counters["of_bound"] = bound / median;
  state.counters["sgemm_GF/s"] = 2e-9 * rate;
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
