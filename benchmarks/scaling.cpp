// How time and memory of the flat channel front end, forward and backward, grow with channels (16 to 1024), with rows
// (64 to 65,536) and with ranks, which share its channels:
//
//     for n in 1 2 4 8; do OMP_NUM_THREADS=1 mpirun -n $n benchmark_scaling; done > scaling.jsonl
//
// Prints a line of JSON for each size: the sweep, its sizes, the order of evaluation that Auto takes on this number of
// ranks, seconds (the median step of the slowest rank), and of the rank that has most: multiply-adds of its channels,
// bytes kept for the backward pass, of the workspace in all, and sent.
#include <cstdio>
#include <dchag/parallel/environment.hpp>
#include <vector>

#include "command_line.hpp"
#include "front_end_run.hpp"

namespace {

using namespace dchag;
using benchmarks::Shape;

struct Options {
  Index rows = 512, channels = 64;  // of the sweep over the other
  Index patch = 4, embed = 256, heads = 8;
  int turns = 5;
};

char const* name_of(Order order) {
  switch (order) {
    case Order::materialized:
      return "Materialized";
    case Order::token_space:
      return "TokenSpace";
    case Order::patch_space:
      return "PatchSpace";
  }
  return "";
}

void measure(Communicator const& ranks, char const* sweep, Shape const& shape, int turns) {
  benchmarks::FrontEndRun<Auto> run(shape, ranks);
  run.step();
  ranks.reset_traffic();
  run.step();
  double const sent = static_cast<double>(ranks.traffic().bytes());
  std::vector<double> seconds;
  for (int turn = 0; turn < turns; ++turn) {
    ranks.barrier();
    seconds.push_back(ranks.all_reduce(run.step(), Reduction::max));
  }
  Shape own = shape;
  own.channels = ceil_div(shape.channels, ranks.size());
  Order const order = Auto::choose(own.unit());
  auto const most = [&](double value) { return ranks.all_reduce(value, Reduction::max); };
  double const kept = most(static_cast<double>(run.kept_bytes())),
               workspace = most(static_cast<double>(run.workspace_bytes())), sent_most = most(sent);
  if (ranks.rank() != 0) return;
  std::printf(
      "{\"sweep\": \"%s\", \"ranks\": %d, \"rows\": %lld, \"channels\": %lld, \"patch_pixels\": %lld, \"embed\": %lld, "
      "\"heads\": %lld, \"order\": \"%s\", \"seconds\": %.6f, \"multiply_adds\": %.0f, \"kept_bytes\": %.0f, "
      "\"workspace_bytes\": %.0f, \"sent_bytes\": %.0f}\n",
      sweep, ranks.size(), static_cast<long long>(shape.rows), static_cast<long long>(shape.channels),
      static_cast<long long>(shape.unit().patch), static_cast<long long>(shape.embed),
      static_cast<long long>(shape.heads), name_of(order), benchmarks::median(seconds),
      evaluation_operations(order, own.unit()).total(), kept, workspace, sent_most);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return benchmarks::main_of(
      "Time and memory of the channel front end by channels, rows and ranks", argc, argv,
      [&](CLI::App& app) {
        app.add_option("--rows", options.rows, "while the number of channels grows")->check(benchmarks::at_least(1));
        app.add_option("--channels", options.channels, "while the number of rows grows")
            ->check(benchmarks::at_least(1));
        app.add_option("--patch", options.patch, "edge of a patch, pixels")->check(benchmarks::at_least(1));
        app.add_option("--embed", options.embed, "features of a token")->check(benchmarks::at_least(1));
        app.add_option("--heads", options.heads, "of the attention")->check(benchmarks::at_least(1));
        app.add_option("--turns", options.turns, "steps that are timed")->check(benchmarks::at_least(1));
      },
      [&](Environment& environment) {
        for (Index channels = 16; channels <= 1024; channels *= 2)
          measure(environment.world(), "channels",
                  {options.rows, channels, options.patch, options.embed, options.heads}, options.turns);
        for (Index rows = 64; rows <= 65536; rows *= 4)
          measure(environment.world(), "rows", {rows, options.channels, options.patch, options.embed, options.heads},
                  options.turns);
        return 0;
      });
}
