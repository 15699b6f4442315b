// A simulation that trains a forecaster on its own fields while it runs, on its own device, and then lets it predict.
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <Kokkos_Core.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <dchag/dchag.hpp>
#include <functional>
#include <string>
#include <vector>

#include "history.hpp"
#include "learner.hpp"
#include "shallow_water.hpp"

namespace {

struct Options {
  shallow_water::Parameters flow;
  in_situ::LearnerOptions learner;
  int interval = 3, snapshots = 64, model_ranks = 1;
};

void add_options(CLI::App& app, Options& o) {
  app.option_defaults()->always_capture_default();
  app.allow_extras();  // Kokkos' own
  auto const add = [&](char const* name, auto& value, char const* what) {
    app.add_option(name, value, what)->check(CLI::PositiveNumber);
  };
  add("--cells", o.flow.cells, "cells along each side of the square");
  add("--interval", o.interval, "time steps of the solver between two snapshots");
  add("--snapshots", o.snapshots, "that are kept on the device to learn from");
  add("--leads", o.learner.leads, "forecasts are for 1 to so many snapshots ahead");
  add("--steps", o.learner.steps, "of training, one after each snapshot");
  add("--batch", o.learner.batch, "pairs of snapshots a step, on each replica");
  add("--patch", o.learner.patch, "edge of a patch, cells");
  add("--embed", o.learner.embed, "features of a token");
  add("--heads", o.learner.heads, "heads of every attention");
  add("--depth", o.learner.depth, "blocks of the transformer");
  add("--learning-rate", o.learner.learning_rate, "the highest, after the warm-up");
  add("--model-ranks", o.model_ranks, "under mpirun, ranks that share a model; the others simulate apart");
  app.add_option("--seed", o.learner.seed, "of simulations, weights and batches")->check(CLI::NonNegativeNumber);
}

void check(Options const& o, std::vector<std::string> const& others) {
  using dchag::require;
  for (auto const& other : others) require(other.starts_with("--kokkos-"), other, " is no option: --help lists them");
  require(o.flow.cells >= 4, "--cells ", o.flow.cells, ": give at least 4");
  dchag::Index const least = dchag::Index{o.learner.leads} + o.learner.batch;
  require(o.snapshots >= least, "--snapshots ", o.snapshots, ": give at least --leads + --batch = ", least);
}

/// The model forecasts the snapshots in the ring from each other. All ranks call it.
void forecast(in_situ::Learner& learner, Options const& o, bool speaks) {
  int better = 0, all = 0;
  std::string table;
  for (int lead = 1; lead <= o.learner.leads; ++lead) {
    auto const errors = learner.errors(lead);
    std::array<char, 128> text{};
    auto const add = [&](char const* format, auto... values) {
      std::snprintf(text.data(), text.size(), format, values...);
      table += text.data();
    };
    add("%6.0f min", lead * o.interval * o.flow.time_step / 60);
    for (std::size_t k = 0; k < in_situ::variables; ++k, ++all) {
      add("   %8.4f / %8.4f", errors.forecast[k], errors.persistence[k]);
      better += errors.forecast[k] < errors.persistence[k] ? 1 : 0;
    }
    table += '\n';
  }
  if (!speaks) return;
  std::printf("rms errors after the training, of the forecast / of persistence:\n%10s%22s%22s%22s\n%s", "lead", "h, m",
              "u, m/s", "v, m/s", table.c_str());
  std::printf("%d of %d forecasts are better than persistence\n", better, all);
}

void simulate(dchag::Environment const& environment, Options const& o) {
  dchag::Mesh const mesh(environment.world(), {.model = o.model_ranks});
  bool const speaks = mesh.world().rank() == 0;
  if (speaks) std::printf("%s\n", environment.report().c_str());

  // Every replica has a simulation of its own, which its model ranks all run.
  shallow_water::Solver solver(o.flow, o.learner.seed + static_cast<std::uint64_t>(mesh.replicas().rank()));
  in_situ::History history(o.snapshots, o.flow.cells);
  double simulating = 0, learning = 0;
  auto const simulate_to_next_snapshot = [&] {
    Kokkos::Timer const timer;
    for (int i = 0; i < o.interval; ++i) solver.step();
    history.record(solver.flow());
    Kokkos::fence();
    simulating += timer.seconds();
  };
  for (int i = 0; i < o.snapshots; ++i) simulate_to_next_snapshot();
  history.measure(mesh.world());

  in_situ::Learner learner(mesh, history, o.learner);
  dchag::Progress progress(mesh);
  learner.trainer().on_step(std::ref(progress));
  for (int i = 0; i < o.learner.steps; ++i) {
    simulate_to_next_snapshot();
    Kokkos::Timer const timer;
    learner.step();
    learning += timer.seconds();
  }
  for (int i = 0; i < o.snapshots; ++i) simulate_to_next_snapshot();  // none of which it has seen
  forecast(learner, o, speaks);
  if (speaks) std::printf("seconds: simulation %.1f, training %.1f\n", simulating, learning);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Rotating shallow water that trains a forecaster of itself.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);

  // As in any program that has MPI and Kokkos: dchag joins what runs, and leaves it running.
  MPI_Init(&argc, &argv);
  Kokkos::initialize(argc, argv);
  int status = EXIT_FAILURE;
  {
    dchag::Environment const environment(MPI_COMM_WORLD);
    status = environment.guard([&] {
      if (environment.world().rank() == 0) check(options, app.remaining());  // alone, so that it is reported once
      environment.world().barrier();
      simulate(environment, options);
    });
  }
  Kokkos::finalize();
  MPI_Finalize();
  return status;
}
