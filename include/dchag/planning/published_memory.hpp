#pragma once

#include <algorithm>
#include <array>
#include <dchag/planning/published_run.hpp>

namespace dchag {

/// Bytes of a GPU at one moment of a step, by what they hold.
struct PublishedBytes {
  double parameters = 0;     // float masters
  double gradients = 0;      // float
  double optimizer = 0;      // two moments, and at the update one more copy that AdamW forms
  double half_copies = 0;    // bf16 of the unit that is gathered and, where FSDP divides it, its gradient
  double tokens = 0;         // of the channels, and the gradients of them
  double aggregation = 0;    // keys, values, outputs of the cross-attentions and their gradients
  double blocks = 0;         // inputs that checkpointing keeps, and the one block that is computed again
  double head = 0;           // image and prediction, bf16 and float
  double communication = 0;  // tokens received from the other ranks and their gradients

  double all() const {
    return parameters + gradients + optimizer + half_copies + tokens + aggregation + blocks + head + communication;
  }
};

/// The moments of a step at which the published code holds most.
struct PublishedMemory {
  PublishedBytes front;   // backward pass of the front end
  PublishedBytes last;    // backward pass of a tree's last cross-attention, which reads the gathered tokens
  PublishedBytes blocks;  // backward pass of what follows it
  PublishedBytes update;  // AdamW

  /// The largest of them: what torch.cuda.max_memory_allocated gives.
  PublishedBytes const& peak() const {
    std::array<PublishedBytes const*, 4> const moments{&front, &last, &blocks, &update};
    auto const less = [](PublishedBytes const* a, PublishedBytes const* b) { return a->all() < b->all(); };
    return **std::max_element(moments.begin(), moments.end(), less);
  }
};

/// How many copies the published code keeps of what it works on: the whole numbers that fit the runs that fitted() of
/// published_table.hpp names (benchmarks/published_fit.cpp finds them). Which terms there are was read off all runs.
/// All but the first two count bf16: of a unit's parameters, of pixels, of `own` tokens (a rank's channels at every
/// place), of `place`, one token at every place.
struct PublishedCopies {
  double moments = 2;  // float, of AdamW, at any time
  double update = 1;   // float, while AdamW works

  double front_parameters = 1;  // of tokens, aggregation and head, gathered
  double front_gradients = 2;   // of the same, float, where FSDP divides them
  double pixels = 3;            // image and prediction of all channels

  // Backward pass of the front end.
  double tokens = 3;            // own: they, and their gradients from keys and from values
  double features = 3;          // of the last cross-attention's part of all tokens: keys, values, and their gradients
  double outputs = 3;           // place: of the last cross-attention over channels
  double gathered_own = 1;      // own, where all tokens are gathered
  double gathered_all = 3;      // of all tokens, there
  double linear_tokens = 1;     // own, of all Linear units of a rank but two: copies of what they read
  double attention_tokens = 2;  // own: keys and values of first-level cross-attentions
  double attention_unit = 2;    // own, of one unit: their gradients
  double attention_places = 5;  // place, a unit

  // From the last cross-attention to the head.
  double kept_linear = 2;     // own, of a tree of Linear units
  double kept_attention = 4;  // own, of a tree of cross-attentions
  double kept_gathered = 2;   // of the gathered tokens, one a rank
  double recomputed = 9;      // place: of the one block that is computed again

  /// Taken from the method, since no fitted run tells them: a block's input, which checkpointing keeps, place (all runs
  /// have 32 blocks); the gradient of the gathered tokens; one copy of the tokens of methods without a tree.
  /// That all Linear units but two hold copies is the plainest of what trees of 4 units tell; those of 2 and 8 confirm.
  static constexpr double checkpoints = 1, gathered_gradient = 1, kept_tokens = 1;
};

namespace detail {

/// What the published code holds at each of its moments.
class PublishedMoments {
 public:
  PublishedMoments(PublishedRun const& run, PublishedCopies const& copies)
      : run_(run), copies_(copies), parameters_(parameters_of(run)) {}

  PublishedBytes front() const {
    PublishedBytes bytes = working();
    double const own = run_.token_bytes(), all = run_.all_token_bytes(), place = run_.place_bytes();
    double const units = static_cast<double>(run_.units), ranks = static_cast<double>(run_.tensor);
    bytes.tokens = copies_.tokens * own;
    if (!run_.aggregates()) return bytes;
    switch (run_.method) {
      case PublishedMethod::TensorParallel:
        bytes.aggregation = copies_.features * own / ranks + copies_.outputs * place;
        break;
      case PublishedMethod::GatheredTokens:
        bytes.tokens = copies_.gathered_own * own;
        bytes.communication = copies_.gathered_all * all;
        bytes.aggregation = copies_.features * all / ranks + copies_.outputs * place;
        break;
      case PublishedMethod::LinearTree:  // the copies are there once the head has freed what it held
        bytes.aggregation = std::max(0.0, copies_.linear_tokens * (1 - 2 / units) * own - bytes.head);
        break;
      case PublishedMethod::AttentionTree:
        bytes.aggregation = (copies_.attention_tokens + copies_.attention_unit / units) * own +
                            copies_.attention_places * units * place;
        break;
    }
    return bytes;
  }

  PublishedBytes last() const {
    if (!run_.aggregates()) return states();
    PublishedBytes bytes = kept();
    bytes.communication += run_.tree() ? PublishedCopies::gathered_gradient * gathered() : 0;
    return bytes;
  }

  PublishedBytes blocks() const {
    if (!run_.whole()) return states();
    PublishedBytes bytes = kept();
    double const inputs = PublishedCopies::checkpoints * static_cast<double>(run_.depth);
    bytes.blocks = (inputs + copies_.recomputed) * run_.place_bytes() * (1 - run_.masked);
    return bytes;
  }

  PublishedBytes update() const {
    PublishedBytes bytes = states();
    bytes.optimizer += 4 * copies_.update * own_parameters();
    return bytes;
  }

 private:
  double own_parameters() const { return parameters_.rank() / static_cast<double>(run_.shard); }
  double gathered() const { return static_cast<double>(run_.tensor) * run_.place_bytes(); }

  PublishedBytes states() const {
    PublishedBytes bytes;
    bytes.parameters = bytes.gradients = 4 * own_parameters();
    bytes.optimizer = 4 * copies_.moments * own_parameters();
    return bytes;
  }

  /// What forward and backward passes need at any time.
  PublishedBytes working() const {
    PublishedBytes bytes = states();
    double const copies = copies_.front_parameters + (run_.shard > 1 ? copies_.front_gradients : 0);
    bytes.half_copies = 2 * copies * parameters_.front;
    bytes.head = 2 * copies_.pixels * run_.rows() * run_.pixels() * static_cast<double>(run_.channels);
    return bytes;
  }

  /// What the front end keeps for its backward pass.
  PublishedBytes kept() const {
    PublishedBytes bytes = working();
    double const own = run_.token_bytes();
    switch (run_.method) {
      case PublishedMethod::TensorParallel:
        bytes.tokens = PublishedCopies::kept_tokens * own;
        break;
      case PublishedMethod::GatheredTokens:
        bytes.tokens = PublishedCopies::kept_tokens * own;
        bytes.communication = PublishedCopies::kept_tokens * run_.all_token_bytes();
        break;
      case PublishedMethod::LinearTree:
        bytes.tokens = copies_.kept_linear * own;
        bytes.communication = copies_.kept_gathered * gathered();
        break;
      case PublishedMethod::AttentionTree:
        bytes.tokens = copies_.kept_attention * own;
        bytes.communication = copies_.kept_gathered * gathered();
        break;
    }
    return bytes;
  }

  PublishedRun const& run_;
  PublishedCopies const& copies_;
  PublishedParameters parameters_;
};

}  // namespace detail

inline PublishedMemory memory_of(PublishedRun const& run, PublishedCopies const& copies = {}) {
  detail::PublishedMoments const moments(run, copies);
  return {moments.front(), moments.last(), moments.blocks(), moments.update()};
}

}  // namespace dchag
