#pragma once

#include <dchag/dchag.hpp>

#include "front_end_run.hpp"
#include "training_run.hpp"

namespace dchag::benchmarks {

/// A way to share a model among ranks: its front end alone, and the model.
template <class PartitionPolicy, class TreePolicy, class JoinPolicy, class Evaluation>
struct Strategy {
  using Run = FrontEndRun<Evaluation, TreePolicy, PartitionPolicy, JoinPolicy>;
  using Model = Forecaster<Partition<PartitionPolicy>, TreePolicy, Join<JoinPolicy>, Evaluate<Evaluation>,
                           Parallel<Tensor>, Space<Device>>;
};

/// f(strategy, name), plain tensor parallelism first. Units of a first level are as many as ranks.
template <Index ranks, class F>
void each_strategy(F const& f) {
  using Flat = Tree<CrossAttention<1>>;
  using TreeL = Tree<Linear<ranks>, CrossAttention<1>>;
  using TreeC = Tree<CrossAttention<ranks>, CrossAttention<1>>;
  f(Strategy<Everywhere, Flat, Auto, Materialized>(), "plain tensor parallelism");
  f(Strategy<Contiguous, TreeL, Gather, Materialized>(), "D-CHAG L as published");
  f(Strategy<Contiguous, TreeC, Gather, Materialized>(), "D-CHAG C as published");
  f(Strategy<Contiguous, Flat, Merge, Auto>(), "flat, merged");
  f(Strategy<Contiguous, TreeL, Auto, Auto>(), "tree of L, Auto");
  f(Strategy<Contiguous, TreeC, Auto, Auto>(), "tree of C, Auto");
}

}  // namespace dchag::benchmarks
