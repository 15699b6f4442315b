#pragma once

#include <dchag/core/types.hpp>
#include <string>

namespace pines {

struct Options {
  std::string data, out = "hyperspectral_autoencoder", resume, tree = "dchag";
  bool synthetic = false;
  dchag::Index crop = 28, patch = 4, embed = 128, heads = 8, depth = 3, decoder_embed = 64, decoder_depth = 2;
  double mlp_ratio = 2, mask = 0.75;
  dchag::Index batch = 32, steps = 2500, warmup = 100, validate = 250, masks = 8;
  double learning_rate = 3e-3, weight_decay = 0.05, clip = 1, minutes = 5, augment = 1;
  std::uint64_t seed = 0;
};

}  // namespace pines
