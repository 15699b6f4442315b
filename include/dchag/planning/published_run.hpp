#pragma once

#include <cstdint>
#include <dchag/core/error.hpp>
#include <string>

namespace dchag {

/// How the published PyTorch code of D-CHAG (arXiv 2506.21411) turns channels into one token a place.
enum class PublishedMethod {
  TensorParallel,  // every rank tokenizes all channels; one cross-attention with its heads divided
  GatheredTokens,  // channels are divided, all their tokens gathered, then the same cross-attention
  LinearTree,      // D-CHAG L: Linear units over a rank's own channels, one token a rank gathered, then cross-attention
  AttentionTree,   // D-CHAG C: the same with full-width cross-attentions over a rank's own channels
};

/// How far the model goes; the authors timed parts alone too. The head belongs to each of them.
enum class PublishedPart { Tokens, Aggregation, Whole };

inline char const* name_of(PublishedMethod method) {
  switch (method) {
    case PublishedMethod::TensorParallel:
      return "plain tensor parallelism";
    case PublishedMethod::GatheredTokens:
      return "gathered tokens";
    case PublishedMethod::LinearTree:
      return "D-CHAG L";
    case PublishedMethod::AttentionTree:
      return "D-CHAG C";
  }
  return "?";
}

/// One training run of the published code: bf16 with float masters, AdamW, flash attention, activation checkpointing of
/// the blocks and of the last cross-attention, FSDP (every block a unit, the rest one more).
struct PublishedRun {
  PublishedMethod method = PublishedMethod::TensorParallel;
  PublishedPart part = PublishedPart::Whole;
  std::int64_t channels = 0;
  std::int64_t embed = 0;   // D
  std::int64_t depth = 32;  // blocks of the transformer; 0 where the part has none
  std::int64_t heads = 32;
  std::int64_t height = 128;  // pixels
  std::int64_t width = 256;
  std::int64_t patch = 4;
  std::int64_t batch = 2;          // images a tensor-parallel group
  double masked = 0;               // part of the places that the blocks do not see
  std::int64_t units = 1;          // first-level units a rank of a tree; more than one are followed by a second level
  std::int64_t tensor = 1;         // ranks that share a model (TP)
  std::int64_t shard = 1;          // FSDP ranks that divide its parameters
  std::int64_t data = 1;           // replicas (DP)
  std::int64_t decoder_embed = 0;  // features of a masked autoencoder's decoder; 0 is the two-layer head
  std::int64_t decoder_depth = 0;

  std::int64_t ranks() const { return tensor * shard * data; }
  double places() const { return static_cast<double>((height / patch) * (width / patch)); }
  double rows() const { return static_cast<double>(batch) * places(); }
  double pixels() const { return static_cast<double>(patch * patch); }
  bool divides_channels() const { return method != PublishedMethod::TensorParallel; }
  bool tree() const { return method == PublishedMethod::LinearTree || method == PublishedMethod::AttentionTree; }
  /// Channels that a rank tokenizes.
  double own_channels() const {
    return static_cast<double>(channels) / static_cast<double>(divides_channels() ? tensor : 1);
  }
  /// Bytes of one bf16 token at every place; of the tokens of a rank's channels; of all channels' tokens.
  double place_bytes() const { return 2 * rows() * static_cast<double>(embed); }
  double token_bytes() const { return place_bytes() * own_channels(); }
  double all_token_bytes() const { return place_bytes() * static_cast<double>(channels); }
  bool aggregates() const { return part != PublishedPart::Tokens; }
  bool whole() const { return part == PublishedPart::Whole; }
  /// Images that one step of all ranks takes: each tensor-parallel group has a batch of its own.
  double images_a_step() const { return static_cast<double>(batch * shard * data); }
};

/// Throws Error that names the field where the published code cannot run a configuration.
inline void check(PublishedRun const& run) {
  auto const positive = [](char const* field, std::int64_t value) {
    require(value > 0, field, " = ", value, " must be positive");
  };
  positive("channels", run.channels);
  positive("embed", run.embed);
  positive("heads", run.heads);
  positive("height", run.height);
  positive("width", run.width);
  positive("patch", run.patch);
  positive("batch", run.batch);
  positive("units", run.units);
  positive("tensor", run.tensor);
  positive("shard", run.shard);
  positive("data", run.data);
  require(run.depth >= 0, "depth = ", run.depth, " must not be negative");
  require(run.height % run.patch == 0 && run.width % run.patch == 0, "patch = ", run.patch,
          " must divide height = ", run.height, " and width = ", run.width);
  require(run.embed % run.heads == 0, "embed = ", run.embed, " must be a multiple of heads = ", run.heads);
  require(run.heads % run.tensor == 0, "tensor = ", run.tensor, " must divide heads = ", run.heads,
          ": the published code gives whole heads to a rank");
  require(!run.divides_channels() || run.channels % run.tensor == 0, "tensor = ", run.tensor,
          " must divide channels = ", run.channels, ": the published trees give every rank as many");
  require(run.units == 1 || (run.tree() && run.channels / run.tensor % run.units == 0), "units = ", run.units,
          " must be 1 or divide the ", run.channels / run.tensor, " channels a rank of a tree");
  require(run.masked >= 0 && run.masked < 1, "masked = ", run.masked, " must be at least 0 and less than 1");
  require(run.decoder_embed >= 0 && run.decoder_depth >= 0, "decoder_embed = ", run.decoder_embed,
          " and decoder_depth = ", run.decoder_depth, " must not be negative");
}

/// Parameters that a rank of the tensor-parallel group has before FSDP divides them, as the authors' logs count them.
struct PublishedParameters {
  double front = 0;  // tokens, positions, aggregation and head: one FSDP unit
  double blocks = 0;
  double shared = 0;  // those of the above that every rank has alike; the others differ from rank to rank

  double rank() const { return front + blocks; }
  double model(std::int64_t tensor) const { return shared + (rank() - shared) * static_cast<double>(tensor); }
};

inline PublishedParameters parameters_of(PublishedRun const& run) {
  double const D = static_cast<double>(run.embed), C = static_cast<double>(run.channels), P = run.pixels();
  double const R = static_cast<double>(run.tensor), depth = run.whole() ? static_cast<double>(run.depth) : 0;
  auto const transformer_shared = [](double width) { return 4 * width; };  // two layer norms
  auto const transformer_own = [](double width, double ranks) {  // biases of whole rows are counted on every rank
    return 12 * width * width / ranks + 7 * width / ranks + 2 * width;
  };
  double const tokens = C * (P + 2) * D + run.places() * D;
  double own = 0, shared = tokens;
  if (run.decoder_embed > 0) {
    double const d = static_cast<double>(run.decoder_embed), layers = static_cast<double>(run.decoder_depth);
    shared += (D + 1) * d + d + run.places() * d + layers * transformer_shared(d) + 2 * d + d * P * C + P * C + 2 * D;
    own += layers * transformer_own(d, 1);
  } else {
    shared += 2 * (D * D + D) + D * P * C + P * C + 2 * D;
  }
  if (run.aggregates()) {
    shared += D;  // the query
    own += 4 * D * D / R + D;
  }
  if (run.aggregates() && run.tree()) {
    double const c = run.own_channels(), units = static_cast<double>(run.units);
    shared += D;
    if (run.method == PublishedMethod::AttentionTree) {
      own += 4 * D * D + D;  // units share their weights
    } else {
      shared += c + 1;
      if (units > 1) shared += c / units + 1 + units + 1;
    }
  }
  PublishedParameters count;
  count.front = own + shared;
  double const norms = run.whole() ? depth * transformer_shared(D) + 2 * D : 0;
  count.blocks = depth * transformer_own(D, R) + norms;
  count.shared = shared + norms;
  return count;
}

/// Multiply-adds of one forward pass on a rank, for its batch.
struct PublishedWork {
  double tokens = 0;
  double first_level = 0;      // units over a rank's own channels
  double cross_attention = 0;  // the last one, its heads divided over the ranks
  double blocks = 0;           // matrix products of the transformer
  double attention = 0;        // its scores and their sums
  double head = 0;

  double all() const { return tokens + first_level + cross_attention + blocks + attention + head; }
  /// As the authors count: three forward passes of two operations a multiply-add.
  double operations_a_step() const { return 6 * all(); }
};

inline PublishedWork work_of(PublishedRun const& run) {
  double const N = run.rows(), D = static_cast<double>(run.embed), C = static_cast<double>(run.channels);
  double const P = run.pixels(), R = static_cast<double>(run.tensor), units = static_cast<double>(run.units);
  double const c = run.own_channels(), seen = 1 - run.masked;
  PublishedWork work;
  work.tokens = N * c * P * D;
  if (run.aggregates()) {
    double const inputs = run.tree() ? R : C;
    work.cross_attention = (N * (2 * inputs * D * D + 2 * inputs * D + D * D) + D * D) / R;
    if (run.method == PublishedMethod::LinearTree) work.first_level = N * (c + (units > 1 ? units : 0)) * D;
    if (run.method == PublishedMethod::AttentionTree) {
      work.first_level = N * (2 * c * D * D + 2 * c * D + units * D * D);
      if (units > 1) work.first_level += N * (2 * units * D * D + D * D);
    }
  }
  if (run.whole()) {
    double const depth = static_cast<double>(run.depth), visible = run.places() * seen;
    work.blocks = depth * N * seen * 12 * D * D / R;
    work.attention = depth * static_cast<double>(run.batch) * 2 * visible * visible * D / R;
  }
  if (run.decoder_embed > 0) {
    double const d = static_cast<double>(run.decoder_embed), layers = static_cast<double>(run.decoder_depth);
    work.head = N * (seen * D * d + layers * (12 * d * d + 2 * run.places() * d) + d * P * C);
  } else {
    work.head = N * (2 * D * D + D * P * C);
  }
  return work;
}

}  // namespace dchag
