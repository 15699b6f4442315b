#include "models/mesh_case.hpp"

using namespace dchag;
using tests::Draws;

namespace {

template <template <class> class Batches, class Model, class Configure>
void check(std::uint64_t seed, Configure const& configure) {
  for (MeshShape shape : tests::shapes_of(Communicator(MPI_COMM_WORLD).size())) {
    Draws draws(seed += 100);
    auto config = tests::drawn_config<typename Model::Config>(draws, shape.model);
    config.channels = 1 + draws.below(9);
    configure(config, draws);
    tests::check_training<Model, Batches>(shape, config, seed);
  }
}

template <class... Policies>
using Everywhere64 = Forecaster<Precision<double>, dchag::Space<tests::Space>, Partition<Everywhere>, Policies...>;
template <class... Policies>
using Hidden64 = MaskedAutoencoder<Precision<double>, dchag::Space<tests::Space>, Partition<Everywhere>, Policies...>;

}  // namespace

TEST_CASE("forecasters whose ranks all have all channels train as on one rank, heads divided or not") {
  auto const configure = [](ForecasterConfig& config, Draws& draws) {
    config.out_channels = 1 + draws.below(3);
    config.decoder_depth = 1;
  };
  check<tests::ForecasterBatches, Everywhere64<Evaluate<Materialized>>>(1, configure);
  check<tests::ForecasterBatches, Everywhere64<Evaluate<Materialized>, Parallel<Sequence, FullShard>>>(2, configure);
  check<tests::ForecasterBatches, Everywhere64<Parallel<Tensor, OptimizerShard>>>(3, configure);
}

TEST_CASE("masked autoencoders whose ranks all have all channels train as on one rank, heads divided or not") {
  auto const configure = [](MaskedAutoencoderConfig& config, Draws&) {
    config.mask_ratio = 0.5;
    config.decoder = {.embed = 4 * config.heads, .heads = config.heads, .depth = 1, .mlp_ratio = 1.5};
  };
  check<tests::AutoencoderBatches, Hidden64<Evaluate<Materialized>, Parallel<Tensor, GradientShard>>>(4, configure);
  check<tests::AutoencoderBatches, Hidden64<Tree<Linear<1>>>>(5, configure);
}
