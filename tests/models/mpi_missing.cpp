#include <limits>

#include "models/mesh_case.hpp"

using namespace dchag;
using tests::Draws;

namespace {

/// Batches of which every image lacks about half of the channels; their memory is NaN.
template <class Model>
struct LackingBatches : tests::AutoencoderBatches<Model> {
  Kokkos::View<unsigned char*, tests::Space> present;
  Index channels;

  LackingBatches(Model const& model, std::uint64_t seed, Index all, Index first, Index count)
      : tests::AutoencoderBatches<Model>(model, seed, all, first, count), channels(model.config().channels) {
    std::vector<unsigned char> flags;
    for (Index at = first * channels; at < (first + count) * channels; ++at)
      flags.push_back(at % channels == channels - 1 ||
                      random_uniform(random_key(seed, "present"), static_cast<std::uint64_t>(at)) < 0.5);
    present = tests::on_device(flags);
    auto const& own = model.own_channels();
    Index const plane = model.config().height * model.config().width;
    for (Index b = 0; b < count; ++b)
      for (std::size_t k = 0; k < own.size(); ++k)
        if (flags[static_cast<std::size_t>(b * channels + own[k])] == 0)
          Kokkos::deep_copy(
              reshape<double*, tests::Space>(
                  this->images.data() + (b * static_cast<Index>(own.size()) + static_cast<Index>(k)) * plane, plane),
              std::numeric_limits<double>::quiet_NaN());
  }
  typename Model::Batch batch(Model const& model, Index count) const {
    auto batch = tests::AutoencoderBatches<Model>::batch(model, count);
    batch.present = reshape<unsigned char const**, tests::Space>(static_cast<unsigned char const*>(present.data()),
                                                                 count, channels);
    return batch;
  }
};

}  // namespace

TEST_CASE("masked autoencoders train on images that lack channels as on one rank, loss and all") {
  using Model = MaskedAutoencoder<Precision<double>, dchag::Space<tests::Space>, Tree<Linear<3>, CrossAttention<1>>,
                                  Missing<Renormalize>, Parallel<Tensor, OptimizerShard>>;
  std::uint64_t seed = 21;
  for (MeshShape shape : tests::shapes_of(Communicator(MPI_COMM_WORLD).size())) {
    Draws draws(seed += 100);
    auto config = tests::drawn_config<MaskedAutoencoderConfig>(draws, shape.model);
    config.channels = 3 + draws.below(18);
    config.mask_ratio = 0.5;
    config.decoder = {.embed = 2 * shape.model, .heads = shape.model, .depth = 1, .mlp_ratio = 2};
    tests::check_training<Model, LackingBatches>(shape, config, seed);
  }
}
