// What this machine does, as a description that planning/ reads (see calibration.hpp):
//
//     OMP_NUM_THREADS=1 mpirun -n 2 benchmark_calibrate --output machine.json
//
// Writes the JSON and prints a line a figure. Takes about ten seconds.
#include <cstdio>
#include <dchag/io/atomic_file.hpp>
#include <span>
#include <string>

#include "calibration.hpp"
#include "command_line.hpp"

namespace {

using namespace dchag;

struct Options {
  std::string output, name = "this machine";
  double memory = 0;  // GiB; 0: what the host has
  int nodes = 0;
};

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
        Machine machine = benchmarks::calibrated(environment.world(), options.memory * 1024 * 1024 * 1024);
        machine.name = options.name;
        machine.nodes = options.nodes;
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
