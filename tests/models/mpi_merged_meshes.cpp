#include "models/mesh_case.hpp"

using namespace dchag;
using tests::Draws;

namespace {

template <class... Policies>
void check(std::uint64_t seed, Index least) {
  using Model = MaskedAutoencoder<Precision<double>, dchag::Space<tests::Space>, Policies...>;
  for (MeshShape shape : tests::shapes_of(Communicator(MPI_COMM_WORLD).size())) {
    Draws draws(seed += 100);
    auto config = tests::drawn_config<MaskedAutoencoderConfig>(draws, shape.model);
    config.channels = least + draws.below(21 - least);
    config.mask_ratio = 0.5;
    config.decoder = {.embed = 2 * shape.model, .heads = shape.model, .depth = 1, .mlp_ratio = 2};
    tests::check_training<Model, tests::AutoencoderBatches>(shape, config, seed);
  }
}

}  // namespace

TEST_CASE("masked autoencoders of merged units, tensor-parallel, train as on one rank with every strategy of shards") {
  check<Tree<CrossAttention<1>>, Join<Merge>, Parallel<Tensor, Unsharded>>(1, 1);
  check<Tree<Linear<3>, CrossAttention<1>>, Join<Merge>, Parallel<Tensor, OptimizerShard>>(2, 3);
  check<Tree<CrossAttention<1>>, Join<Merge>, Partition<Strided>, Parallel<Tensor, GradientShard>>(3, 1);
  check<Tree<Linear<1>>, Join<Merge>, Parallel<Tensor, FullShard>, Recompute<Everything>>(4, 1);
}

TEST_CASE(
    "masked autoencoders of merged units, sequence-parallel, train as on one rank with every strategy of shards") {
  check<Tree<CrossAttention<2>, Linear<1>>, Join<Merge>, Parallel<Sequence, Unsharded>>(5, 2);
  check<Tree<CrossAttention<1>>, Partition<Strided>, Parallel<Sequence, OptimizerShard>, Recompute<Blocks>>(6, 1);
  check<Tree<Linear<4>, CrossAttention<1>>, Partition<Balanced>, Parallel<TensorSequence, GradientShard>>(7, 4);
  check<Tree<CrossAttention<1>>, Parallel<Sequence, FullShard>, Evaluate<PatchSpace>>(8, 1);
}

TEST_CASE(
    "masked autoencoders of merged units, whole on every rank, train as on one rank with every strategy of shards") {
  check<Tree<CrossAttention<1>>, Parallel<Replicated, Unsharded>, Evaluate<Materialized>>(9, 1);
  check<Tree<Linear<2>, Linear<1>>, Parallel<Replicated, OptimizerShard>>(10, 2);
  check<Tree<CrossAttention<1>>, Parallel<Replicated, GradientShard>, Evaluate<TokenSpace>>(11, 1);
  check<Tree<CrossAttention<3>, Linear<2>, CrossAttention<1>>, Parallel<Replicated, FullShard>>(12, 3);
}

TEST_CASE("ranks that build different models are told which field differs") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() == 1) return;
  using Model = MaskedAutoencoder<Precision<double>, dchag::Space<tests::Space>, Parallel<Replicated>>;
  MaskedAutoencoderConfig config{
      .channels = 5, .height = 8, .width = 8, .patch = 2, .embed = 8, .heads = 2, .depth = 1};
  config.decoder = {.embed = 8, .heads = 2, .depth = 1};
  Mesh const mesh(world, {.model = world.size()});
  config.depth = world.rank() == 1 ? 2 : 1;
  CHECK_THROWS_WITH_AS(Model(mesh, config), doctest::Contains("model: depth"), Error);
  config.depth = 1;
  BuildOptions const options{.seed = world.rank() == 1 ? 7u : 3u};
  CHECK_THROWS_WITH_AS(Model(mesh, config, options), doctest::Contains("model: seed"), Error);
  CHECK_NOTHROW(Model(mesh, config));
}
