// What training a model of many channels needs before a job is asked for: GPUs, memory, time, by the published methods
// and by the library.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <dchag/io/atomic_file.hpp>
#include <dchag/parallel/environment.hpp>
#include <memory>
#include <span>
#include <string>

#include "library.hpp"
#include "near_misses.hpp"
#include "sweeps.hpp"
#include "tables.hpp"

namespace {

using planner::Scenario;

struct Options {
  Scenario scenario;
  std::string read, json, plot;
  bool published = false;
};

void add_options(CLI::App& app, Options& o) {
  app.option_defaults()->always_capture_default();
  app.allow_extras();  // Kokkos' own
  for (Scenario::Field const& field : Scenario::fields()) {
    app.add_option(std::string("--") + field.name, o.scenario.*field.value, field.what);
  }
  app.add_option("--machine", o.scenario.machine, "MI250X die, MI300X, A100, H100, or the path of a machine's .json");
  app.add_option("--read", o.read, "a JSON object of these fields; options given besides count more");
  app.add_option("--json", o.json, "written: all figures with their parts, as JSON");
  app.add_option("--plot", o.plot, "written: memory and speed over GPUs and over channels, as PNG");
  app.add_flag("--published", o.published, "the paper's own configurations, and what its authors measured");
}

/// Fields of the file, unless the option was given.
void read_file(CLI::App const& app, Options& o) {
  if (o.read.empty()) return;
  Scenario const given = o.scenario;
  o.scenario = {};
  planner::read_scenario(o.read, o.scenario);
  for (Scenario::Field const& field : Scenario::fields()) {
    if (app.count(std::string("--") + field.name) > 0) o.scenario.*field.value = given.*field.value;
  }
  if (app.count("--machine") > 0) o.scenario.machine = given.machine;
}

/// The published methods, and the library in each precision that the machine has a rate of.
planner::Methods methods_of(std::shared_ptr<planner::LibraryPlans> const& plans) {
  planner::Methods methods;
  for (auto const method : {dchag::PublishedMethod::TensorParallel, dchag::PublishedMethod::LinearTree,
                            dchag::PublishedMethod::AttentionTree}) {
    methods.push_back(std::make_unique<planner::Published>(method));
  }
  methods.push_back(std::make_unique<planner::Library>(plans, planner::in_float));
  if (plans->has_mixed()) methods.push_back(std::make_unique<planner::Library>(plans, planner::in_mixed));
  return methods;
}

void work(Options const& o) {
  o.scenario.check();
  dchag::Machine const machine = planner::machine_of(o.scenario);
  auto const plans = std::make_shared<planner::LibraryPlans>(machine, false);
  planner::Methods const methods = methods_of(plans);
  dchag::Json::object_t answer{{"scenario", o.scenario.json()}, {"machine", machine.json()}};
  if (o.published) {
    answer.emplace_back("published", planner::print_published(o.scenario, methods));
  } else {
    answer.emplace_back("methods", planner::print_scenario(o.scenario, methods));
    int const ranks = static_cast<int>(o.scenario.ranks);
    answer.emplace_back("search", planner::print_near_misses(plans->search(o.scenario, ranks), ranks));
  }
  std::printf("\nThe published methods: MI250X dies, by the paper's runs. dchag: planned for %s, not measured.\n",
              machine.name.c_str());
  if (!o.plot.empty()) {
    auto const few = methods_of(std::make_shared<planner::LibraryPlans>(machine, true));
    answer.emplace_back("plot", planner::draw_sweeps(o.scenario, few, machine.memory, o.plot));
  }
  if (!o.json.empty()) {
    std::string const text = dchag::dump_json(std::move(answer)) + "\n";
    dchag::AtomicFile file(o.json);
    file.write(std::as_bytes(std::span(text)));
    file.commit();
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("GPUs, memory and time of training a model of many channels: the published methods and dchag.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  return dchag::run(argc, argv, [&](dchag::Environment& environment) {
    for (auto const& other : app.remaining())
      dchag::require(other.starts_with("--kokkos-"), other, " is no option: --help lists them");
    dchag::require(environment.world().size() == 1, "plan works on one rank, not on ", environment.world().size());
    read_file(app, options);
    work(options);
  });
}
