#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/json.hpp>
#include <string>

namespace pines {

using dchag::Index;

struct Options {
  std::string data, out = "hyperspectral_autoencoder", resume, tree = "dchag";
  bool synthetic = false, quick = false;
  Index crop = 28, patch = 4, embed = 128, heads = 8, depth = 3, decoder_embed = 64, decoder_depth = 2;
  double mlp_ratio = 2, mask = 0.75;
  Index batch = 16, steps = 2000, stop = 0, warmup = 100, validate = 250, masks = 8;
  int model_ranks = 1, shard_ranks = 1;
  double learning_rate = 3e-3, weight_decay = 0.05, clip = 1, augment = 0.5, minutes = 5;
  std::uint64_t seed = 0;

  /// What two runs must share for the one to go on from the other.
  dchag::Json training() const {
    return {{"synthetic", synthetic},
            {"batch", batch},
            {"steps", steps},
            {"warmup", warmup},
            {"learning_rate", learning_rate},
            {"weight_decay", weight_decay},
            {"clip", clip},
            {"augment", augment},
            {"seed", static_cast<std::int64_t>(seed)}};
  }
};

inline void add_model_options(CLI::App& app, Options& o) {
  app.add_option("--tree", o.tree, "dchag: Linear<8>, CrossAttention<1>; flat: CrossAttention<1>")
      ->check(CLI::IsMember({"dchag", "flat"}));
  app.add_option("--crop", o.crop, "edge of a crop, pixels; 15 to 29");
  app.add_option("--patch", o.patch, "edge of a patch, pixels; divides the crop");
  app.add_option("--embed", o.embed, "features of a token");
  app.add_option("--heads", o.heads, "heads of every attention");
  app.add_option("--depth", o.depth, "blocks of the encoder");
  app.add_option("--decoder-embed", o.decoder_embed, "features of a token of the decoder");
  app.add_option("--decoder-depth", o.decoder_depth, "blocks of the decoder");
  app.add_option("--mlp-ratio", o.mlp_ratio, "hidden width of an MLP over the features of a token");
  app.add_option("--mask", o.mask, "share of the patches that are hidden");
}

inline void add_training_options(CLI::App& app, Options& o) {
  app.add_option("--batch", o.batch, "crops a step, of all ranks together");
  app.add_option("--steps", o.steps, "steps of the whole run");
  app.add_option("--minutes", o.minutes, "training ends after so many at the latest, resumed ones counted");
  app.add_option("--stop", o.stop, "this program ends after that step, for --resume to go on; 0: goes to the end");
  app.add_option("--learning-rate", o.learning_rate, "the highest, after the warm-up");
  app.add_option("--warmup", o.warmup, "steps in which the learning rate rises");
  app.add_option("--weight-decay", o.weight_decay, "of AdamW");
  app.add_option("--clip", o.clip, "largest norm of the gradients");
  app.add_option("--augment", o.augment, "strength of the random changes of spectra; 0: none");
  app.add_option("--validate", o.validate, "steps between two validations, each with a checkpoint");
  app.add_option("--masks", o.masks, "draws of visible patches for each crop of the report");
  app.add_option("--seed", o.seed, "of weights, batches and visible patches")->check(CLI::NonNegativeNumber);
}

inline void add_mesh_options(CLI::App& app, Options& o) {
  app.add_option("--model-ranks", o.model_ranks,
                 "under mpirun, ranks that divide the bands, and the heads of every attention");
  app.add_option("--shard-ranks", o.shard_ranks,
                 "ranks that divide the optimizer's moments; they and those left over train on crops of their own");
}

inline void add_options(CLI::App& app, Options& o) {
  app.option_defaults()->always_capture_default();
  app.allow_extras();  // Kokkos' own
  app.add_option("--data", o.data, "folder of Indian_pines_corrected.npy and Indian_pines_gt.npy");
  app.add_flag("--synthetic", o.synthetic, "a small made-up scene instead");
  app.add_flag("--quick", o.quick, "a tiny model and a few steps, to see that all works; other options still count");
  app.add_option("--out", o.out, "folder of all that is written");
  app.add_option("--resume", o.resume, "goes on from a training.safetensors of the same options, of any mesh");
  add_model_options(app, o);
  add_training_options(app, o);
  add_mesh_options(app, o);
}

/// Gives the options that the user did not set the values of a tiny run.
inline void make_quick(CLI::App const& app, Options& o) {
  auto const set = [&](char const* name, auto& option, auto value) {
    if (app.count(name) == 0) option = value;
  };
  set("--embed", o.embed, 32);
  set("--depth", o.depth, 1);
  set("--decoder-embed", o.decoder_embed, 32);
  set("--decoder-depth", o.decoder_depth, 1);
  set("--batch", o.batch, 4);
  set("--steps", o.steps, 20);
  set("--warmup", o.warmup, 5);
  set("--validate", o.validate, 10);
  set("--masks", o.masks, 1);
}

/// Throws where the ranks of the job make no mesh as the options want it.
inline void check_mesh(Options const& o, int ranks) {
  using dchag::require;
  require(o.model_ranks >= 1, "--model-ranks ", o.model_ranks, ": give at least 1");
  require(o.shard_ranks >= 1, "--shard-ranks ", o.shard_ranks, ": give at least 1");
  Index const named = Index{o.model_ranks} * o.shard_ranks, replicas = ranks / o.model_ranks;
  require(ranks % named == 0, "--model-ranks ", o.model_ranks, " times --shard-ranks ", o.shard_ranks,
          " does not divide the number of ranks, ", ranks, ": start mpirun -n ", dchag::round_up(ranks, named));
  require(o.heads % o.model_ranks == 0, "--heads ", o.heads, " cannot be divided among --model-ranks ", o.model_ranks,
          ": change one of them");
  require(o.batch % replicas == 0, "--batch ", o.batch, " cannot be divided among the ", replicas,
          " replicas (ranks / --model-ranks): give ", dchag::round_up(o.batch, replicas));
}

/// Throws where an option makes no sense to this program; the model and the trainer check theirs.
inline void check(Options const& o, std::vector<std::string> const& others, int ranks) {
  using dchag::require;
  for (auto const& other : others) require(other.starts_with("--kokkos-"), other, " is no option: --help lists them");
  require(o.synthetic || !o.data.empty(),
          "--data is missing: give the folder of the scene (cmake/data.sh fetches it), or ", "--synthetic");
  require(o.crop >= 15 && o.crop <= 29, "--crop ", o.crop,
          ": expected 15 to 29 pixels, so that four cover a block of 29");
  auto const positive = [](char const* name, Index value) {
    require(value > 0, name, ' ', value, ": give at least 1");
  };
  positive("--patch", o.patch);
  positive("--batch", o.batch);
  positive("--steps", o.steps);
  positive("--validate", o.validate);
  positive("--masks", o.masks);
  require(o.batch <= 65536 && o.masks <= 65536, "--batch ", o.batch, ", --masks ", o.masks, ": give at most 65536");
  require(o.warmup >= 0 && o.warmup < o.steps, "--warmup ", o.warmup, ": the warm-up must end before the ", o.steps,
          " steps do");
  require(o.stop >= 0, "--stop ", o.stop, ": give a step, or 0");
  require(o.minutes > 0, "--minutes ", o.minutes, ": give more than 0");
  require(o.augment >= 0, "--augment ", o.augment, ": give 0 or more");
  check_mesh(o, ranks);
}

}  // namespace pines
