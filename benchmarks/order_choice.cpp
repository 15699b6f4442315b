// Whether Auto takes the fastest order of evaluation: every order timed over a grid of shapes, taking turns, and how
// much longer Auto's choice takes than the best of them. Prints a line a shape and the worst loss.
#include <algorithm>
#include <cstdio>
#include <dchag/parallel/environment.hpp>
#include <vector>

#include "front_end_run.hpp"

namespace {

using namespace dchag;
using benchmarks::FrontEndRun;
using benchmarks::Shape;

/// Median seconds of a step in each order, in the sequence of all_orders.
std::vector<double> time_orders(Shape const& shape) {
  FrontEndRun<PatchSpace> patches(shape);
  FrontEndRun<TokenSpace> tokens(shape);
  FrontEndRun<Materialized> everything(shape);
  std::vector<double> seconds[3];
  for (int turn = 0; turn < 7; ++turn) {
    seconds[0].push_back(patches.step());
    seconds[1].push_back(tokens.step());
    seconds[2].push_back(everything.step());
  }
  return {benchmarks::median(seconds[0]), benchmarks::median(seconds[1]), benchmarks::median(seconds[2])};
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv, [](Environment&) {
    char const* const names[] = {"PatchSpace", "TokenSpace", "Materialized"};
    double worst = 0;
    std::printf("rows channels P D heads: ms of PatchSpace, TokenSpace, Materialized; Auto's choice and its loss\n");
    for (Index rows : {32, 256, 1024})
      for (Index channels : {16, 128})
        for (Index edge : {1, 2, 4, 8, 16})
          for (Index embed : {128, 384})
            for (Index heads : {4, 16}) {
              Shape const shape{rows, channels, edge, embed, heads};
              auto const seconds = time_orders(shape);
              auto const chosen = static_cast<std::size_t>(
                  std::find(std::begin(all_orders), std::end(all_orders), Auto::choose(shape.unit())) -
                  std::begin(all_orders));
              double const loss = seconds[chosen] / *std::min_element(seconds.begin(), seconds.end()) - 1;
              worst = std::max(worst, loss);
              std::printf("%5lld %4lld %4lld %4lld %3lld: %9.3f %9.3f %9.3f  %-12s %5.1f%%\n",
                          static_cast<long long>(rows), static_cast<long long>(channels),
                          static_cast<long long>(edge * edge), static_cast<long long>(embed),
                          static_cast<long long>(heads), 1e3 * seconds[0], 1e3 * seconds[1], 1e3 * seconds[2],
                          names[chosen], 100 * loss);
              std::fflush(stdout);
            }
    std::printf("worst loss of Auto: %.1f%%\n", 100 * worst);
    return 0;
  });
}
