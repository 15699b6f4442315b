#include "models/mesh_case.hpp"

using namespace dchag;
using tests::Draws;

namespace {

template <class Model>
using TwoLeadTimes = tests::ForecasterBatches<Model, 2>;

/// With dropout. Trees whose first level has 8 groups: Gather takes 1, 2, 4 and 8 model ranks.
template <class... Policies>
void check(std::uint64_t seed) {
  using Model = Forecaster<Precision<double>, dchag::Space<tests::Space>, Join<Gather>, Policies...>;
  for (MeshShape shape : tests::shapes_of(Communicator(MPI_COMM_WORLD).size())) {
    if (8 % shape.model != 0) continue;
    Draws draws(seed += 100);
    auto config = tests::drawn_config<ForecasterConfig>(draws, shape.model);
    config.channels = 8 * (1 + draws.below(3));
    config.out_channels = 1 + draws.below(3);
    config.decoder_depth = 1;
    config.dropout = 0.25;
    tests::check_training<Model, TwoLeadTimes>(shape, config, seed);
  }
}

using Shallow = Tree<Linear<8>, CrossAttention<1>>;
using Deep = Tree<CrossAttention<8>, CrossAttention<2>, Linear<1>>;

}  // namespace

TEST_CASE("forecasters of gathered tokens, tensor-parallel, train as on one rank with every strategy of shards") {
  check<Shallow, Parallel<Tensor, Unsharded>>(1);
  check<Deep, Parallel<Tensor, OptimizerShard>>(2);
  check<Shallow, Parallel<Tensor, GradientShard>, Evaluate<Materialized>>(3);
  check<Deep, Parallel<Tensor, FullShard>>(4);
}

TEST_CASE("forecasters of gathered tokens, sequence-parallel, train as on one rank with every strategy of shards") {
  check<Deep, Parallel<Sequence, Unsharded>>(5);
  check<Shallow, Parallel<Sequence, OptimizerShard>>(6);
  check<Deep, Parallel<Sequence, GradientShard>, Recompute<Everything>>(7);
  check<Shallow, Parallel<Sequence, FullShard>>(8);
}

TEST_CASE("forecasters of gathered tokens, whole on every rank, train as on one rank with every strategy of shards") {
  check<Shallow, Parallel<Replicated, Unsharded>>(9);
  check<Deep, Parallel<Replicated, OptimizerShard>, Evaluate<Materialized>>(10);
  check<Shallow, Parallel<Replicated, GradientShard>>(11);
  check<Deep, Parallel<Replicated, FullShard>, Recompute<Blocks>>(12);
}
