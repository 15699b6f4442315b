#include "planning/plan_case.hpp"

using namespace dchag;
using tests::Draws;

namespace {

template <class What, class... Policies>
void check_autoencoder_in(std::uint64_t seed, Index least = 4, Index multiple = 1) {
  using Model = MaskedAutoencoder<Precision<What>, dchag::Space<tests::Space>, Policies...>;
  for (MeshShape shape : tests::shapes_of(Communicator(MPI_COMM_WORLD).size())) {
    Draws draws(seed += 100);
    auto config = tests::drawn_config<MaskedAutoencoderConfig>(draws, shape.model);
    config.channels = least + multiple * draws.below(multiple > 1 ? 2 : 17);
    config.mask_ratio = 0.5;
    config.decoder = {.embed = 2 * shape.model, .heads = shape.model, .depth = 1, .mlp_ratio = 2};
    tests::check_plan<Model, tests::AutoencoderBatches>(shape, config, {.images = 2, .accumulate = 2});
  }
}

template <class... Policies>
void check_autoencoder(std::uint64_t seed, Index least = 4, Index multiple = 1) {
  check_autoencoder_in<double, Policies...>(seed, least, multiple);
}

template <class Model>
using TwoLeads = tests::ForecasterBatches<Model, 2>;

template <class What, class... Policies>
void check_forecaster_in(std::uint64_t seed, Index least = 4, Index multiple = 1) {
  using Model = Forecaster<Precision<What>, dchag::Space<tests::Space>, Policies...>;
  for (MeshShape shape : tests::shapes_of(Communicator(MPI_COMM_WORLD).size())) {
    Draws draws(seed += 100);
    auto config = tests::drawn_config<ForecasterConfig>(draws, shape.model);
    config.channels = least + multiple * draws.below(multiple > 1 ? 2 : 9);
    config.out_channels = 1 + draws.below(3);
    config.dropout = 0.1;
    PlannedStep const step{.images = 2, .leads = 2, .accumulate = 1 + draws.below(2), .clip = draws.below(2) == 0};
    tests::check_plan<Model, TwoLeads>(shape, config, step);
  }
}

template <class... Policies>
void check_forecaster(std::uint64_t seed, Index least = 4, Index multiple = 1) {
  check_forecaster_in<double, Policies...>(seed, least, multiple);
}

}  // namespace

TEST_CASE("a planned step has the bytes and the traffic of the step that runs: tensor-parallel") {
  check_autoencoder<Tree<CrossAttention<1>>, Join<Merge>, Parallel<Tensor, Unsharded>>(1);
  check_forecaster<Tree<Linear<24>, CrossAttention<1>>, Join<Gather>, Parallel<Tensor, OptimizerShard>>(2, 24, 24);
  check_autoencoder<Tree<Linear<2>, Linear<1>>, Join<Merge>, Parallel<Tensor, GradientShard>>(3);
  check_forecaster<Tree<CrossAttention<1>>, Parallel<Tensor, FullShard>, Recompute<Everything>>(4);
}

TEST_CASE("a planned step has the bytes and the traffic of the step that runs: locations divided") {
  check_autoencoder<Tree<CrossAttention<2>, Linear<1>>, Join<Merge>, Parallel<Sequence, Unsharded>>(5);
  check_forecaster<Tree<CrossAttention<1>>, Partition<Strided>, Parallel<Sequence, FullShard>>(6);
  check_autoencoder<Tree<CrossAttention<24>, CrossAttention<1>>, Join<Gather>, Parallel<TensorSequence, GradientShard>>(
      7, 24, 24);
  check_forecaster<Tree<CrossAttention<3>, CrossAttention<1>>, Parallel<TensorSequence, FullShard>, Recompute<Blocks>>(
      8);
}

TEST_CASE("a planned step has the bytes and the traffic of the step that runs: whole on every rank") {
  check_autoencoder<Tree<CrossAttention<1>>, Parallel<Replicated, OptimizerShard>, Evaluate<Materialized>>(9);
  check_forecaster<Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>, Parallel<Replicated, FullShard>>(10);
  check_forecaster<Partition<Everywhere>, Evaluate<Materialized>, Parallel<Tensor, OptimizerShard>>(11);
  check_autoencoder<Partition<Everywhere>, Tree<Linear<1>>>(12);
}

TEST_CASE("a planned step has the bytes and the traffic of the step that runs: products of bfloat16") {
  check_autoencoder_in<Mixed, Tree<CrossAttention<2>, CrossAttention<1>>, Parallel<Tensor, FullShard>>(13);
  check_forecaster_in<Mixed, Evaluate<Materialized>, Recompute<Everything>>(14);
}
