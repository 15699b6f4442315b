#include "models/mesh_case.hpp"

using namespace dchag;
using tests::Draws;

namespace {

/// Three steps on a mesh, and those of one rank with the images of all replicas: the losses are the same but for what
/// is rounded to bfloat16 after sums in another order. Both differ from losses in float.
template <template <class...> class ModelOfPolicies, template <class> class Batches, class... More, class Configure>
void check_mixed(std::uint64_t seed, Configure const& configure) {
  using Model = ModelOfPolicies<Precision<Mixed>, dchag::Space<tests::Space>, More...>;
  using Single = ModelOfPolicies<Precision<float>, dchag::Space<tests::Space>>;
  Communicator const world(MPI_COMM_WORLD);
  for (MeshShape shape : tests::shapes_of(world.size())) {
    CAPTURE(shape.model);
    CAPTURE(shape.shard);
    Draws draws(seed += 100);
    auto config = tests::drawn_config<typename Model::Config>(draws, shape.model);
    config.channels = shape.model * (2 + draws.below(5));
    configure(config, draws);
    Mesh const mesh(world, shape);
    Index const each = 2, all = each * mesh.replicas().size();
    Model one(Mesh(), config, {.seed = seed}), many(mesh, config, {.seed = seed});
    Single single(Mesh(), config, {.seed = seed});
    AdamW const adamw{.learning_rate = 1e-3, .epsilon = 1e-4};
    Trainer alone(one, adamw), together(many, adamw), in_float(single, adamw);
    Batches<Model> const every(one, seed, all, 0, all), own(many, seed, all, each * mesh.replicas().rank(), each);
    Batches<Single> const unrounded(single, seed, all, 0, all);
    for (int step = 0; step < 3; ++step) {
      double const expected = alone.step(every.batch(one, all)), found = together.step(own.batch(many, each)),
                   exact = in_float.step(unrounded.batch(single, all));
      CHECK(std::fabs(found - expected) <= 5e-3 * expected);
      CHECK(std::fabs(found - exact) <= 1e-2 * exact);
      CHECK(std::fabs(found - exact) > 1e-6 * exact);
    }
  }
}

template <class Model>
using TwoLeadsMixed = tests::ForecasterBatches<Model, 2>;

}  // namespace

TEST_CASE("mixed models on a mesh train as on one rank, to the rounding of bfloat16") {
  check_mixed<MaskedAutoencoder, tests::AutoencoderBatches, Parallel<Tensor, FullShard>>(
      1, [](MaskedAutoencoderConfig& config, Draws&) {
        config.mask_ratio = 0.5;
        config.decoder = {.embed = 4 * config.heads, .heads = config.heads, .depth = 1, .mlp_ratio = 1.5};
      });
  check_mixed<Forecaster, TwoLeadsMixed, Parallel<Sequence, GradientShard>>(
      2, [](ForecasterConfig& config, Draws& draws) { config.out_channels = 1 + draws.below(3); });
}
