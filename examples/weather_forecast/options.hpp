#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <string>
#include <vector>

namespace sea {

using dchag::Index;
using dchag::require;

struct Options {
  std::string data, out = "weather_forecast", forecast, from;
  bool synthetic = false, quick = false;
  Index patch = 4, embed = 48, heads = 4, depth = 2;
  double mlp_ratio = 4, dropout = 0.3;
  Index batch = 16, steps = 300, validate = 20;
  int model_ranks = 1;
  double learning_rate = 1e-3, weight_decay = 0.3;
  std::uint64_t seed = 0;
};

inline void add_options(CLI::App& app, Options& o) {
  app.option_defaults()->always_capture_default();
  app.allow_extras();  // Kokkos' own
  app.add_option("--data", o.data, "folder with anom/ and clim/ of the monthly fields");
  app.add_flag("--synthetic", o.synthetic, "made-up fields instead");
  app.add_flag("--quick", o.quick, "a tiny model and a few steps, to see that all works; other options still count");
  app.add_option("--out", o.out, "folder of all that is written");
  app.add_option("--forecast", o.forecast, "runs that saved model.safetensors, without training");
  app.add_option("--from", o.from, "with --forecast: the month, YYYY-MM, whose fields are the last that are known");
  app.add_option("--patch", o.patch, "edge of a patch, cells; divides 48 and 96");
  app.add_option("--embed", o.embed, "features of a token");
  app.add_option("--heads", o.heads, "heads of every attention");
  app.add_option("--depth", o.depth, "blocks of the transformer");
  app.add_option("--mlp-ratio", o.mlp_ratio, "hidden width of an MLP over the features of a token");
  app.add_option("--dropout", o.dropout, "share of the elements that the blocks drop in training");
  app.add_option("--batch", o.batch, "start months a step, of all ranks together");
  app.add_option("--steps", o.steps, "steps of the whole run");
  app.add_option("--validate", o.validate, "steps between two validations");
  app.add_option("--learning-rate", o.learning_rate, "the highest, after the warm-up");
  app.add_option("--weight-decay", o.weight_decay, "of AdamW");
  app.add_option("--model-ranks", o.model_ranks, "under mpirun, ranks that divide the channels; the others the batch");
  app.add_option("--seed", o.seed, "of weights, batches and dropout")->check(CLI::NonNegativeNumber);
}

/// Gives the options that the user did not set the values of a tiny run.
inline void make_quick(CLI::App const& app, Options& o) {
  auto const set = [&](char const* name, auto& option, auto value) {
    if (app.count(name) == 0) option = value;
  };
  set("--patch", o.patch, 8);
  set("--embed", o.embed, 16);
  set("--heads", o.heads, 2);
  set("--depth", o.depth, 1);
  set("--batch", o.batch, 4);
  set("--steps", o.steps, 6);
  set("--validate", o.validate, 3);
}

/// Throws where an option makes no sense to this program; the model and the trainer check theirs.
inline void check(Options const& o, std::vector<std::string> const& others, int ranks) {
  for (auto const& other : others) require(other.starts_with("--kokkos-"), other, " is no option: --help lists them");
  require(o.synthetic || !o.data.empty(),
          "--data is missing: give the folder of the fields (cmake/data.sh fetches it), or ", "--synthetic");
  require(o.forecast.empty() == o.from.empty(), "--forecast and --from go together: give the model and YYYY-MM");
  require(o.batch > 0 && o.batch <= 256, "--batch ", o.batch, ": give 1 to 256");
  require(o.steps > 0, "--steps ", o.steps, ": give at least 1");
  require(o.validate > 0, "--validate ", o.validate, ": give at least 1");
  require(o.model_ranks >= 1 && ranks % o.model_ranks == 0, "--model-ranks ", o.model_ranks,
          " does not divide the number of ranks, ", ranks, ": change one of them");
  Index const replicas = ranks / o.model_ranks;
  require(o.batch % replicas == 0, "--batch ", o.batch, " cannot be divided among the ", replicas,
          " replicas (ranks / --model-ranks): give ", dchag::round_up(o.batch, replicas));
}

}  // namespace sea
