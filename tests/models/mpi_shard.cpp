#include <doctest/doctest.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <type_traits>
#include <vector>

#include "cases.hpp"
#include "space.hpp"

namespace {

using namespace dchag;
using tests::AutoencoderData;
using tests::TinyAutoencoder;

template <class... More>
using Forecasting = Forecaster<Precision<double>, dchag::Space<tests::Space>, More...>;

/// What this rank keeps of the values, against the whole tensors of a model on one rank.
template <class Model, class Whole>
double difference(Model& model, Whole& reference) {
  double worst = 0;
  for (auto const& parameter : model.parameters().all()) {
    auto const* const whole = reference.parameters().find(parameter.name);
    auto const& kept = parameter.kept;
    auto const here = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(),
                                                          reshape<double*, tests::Space>(kept.values, kept.count));
    auto const there =
        Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), whole->template value<double*>(whole->size()));
    double magnitude = 0, largest = 0;
    for (Index i = 0; i < whole->size(); ++i) magnitude = std::max(magnitude, std::abs(there(i)));
    for (Index i = 0; i < kept.count; ++i) largest = std::max(largest, std::abs(here(i) - there(kept.first + i)));
    if (largest > 0) worst = std::max(worst, largest / magnitude);
  }
  return worst;
}

/// With an epsilon far above the rounding of gradients that are zero (a key's bias), which AdamW would make steps of.
template <class Model>
auto trainer_of(Model& model) {
  return Trainer(model, AdamW{.learning_rate = 1e-3, .epsilon = 1e-4}, ConstantRate(), {.clip = 0.5});
}

/// Three steps of two batches on every mesh of shards and replicas, against one rank; batch<Model>(first, count) are
/// images.
template <class Whole, class Sharded, class Config, class Batches>
void compare(Config const& config, Batches const& batch) {
  Communicator const world(MPI_COMM_WORLD);
  Index const ranks = world.size(), each = 2;
  Whole reference(Mesh(), config, {.seed = 4});
  auto one = trainer_of(reference);
  for (int step = 0; step < 3; ++step) one.step(batch.template operator()<Whole>(0, 2 * each * ranks));
  for (int shards = 1; shards <= world.size(); ++shards) {
    if (world.size() % shards != 0) continue;
    CAPTURE(shards);
    Mesh const mesh(world, {.shard = shards});
    Sharded model(mesh, config, {.seed = 4});
    auto trainer = trainer_of(model);
    Index const first = 2 * each * world.rank();
    for (int step = 0; step < 3; ++step) {
      std::vector const own{batch.template operator()<Sharded>(first, each),
                            batch.template operator()<Sharded>(first + each, each)};
      double const loss = trainer.step(own);
      if (step == 2) CHECK(loss == doctest::Approx(one.report().loss).epsilon(1e-11));
    }
    CHECK(difference(model, reference) < 1e-10);
    CHECK(trainer.evaluate(batch.template operator()<Sharded>(first, 2 * each)) ==
          doctest::Approx(one.evaluate(batch.template operator()<Whole>(0, 2 * each * ranks))).epsilon(1e-11));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("a masked autoencoder whose units are sharded trains as on one rank", Strategy, OptimizerShard,
                   GradientShard, FullShard) {
  auto config = tests::autoencoder_config();
  config.depth = 3;
  AutoencoderData const data(config, 4 * Communicator(MPI_COMM_WORLD).size(), 1);
  auto const batch = [&]<class Model>(Index first, Index count) { return data.batch<Model>(first, count); };
  compare<TinyAutoencoder<>, TinyAutoencoder<Parallel<Strategy>>>(config, batch);
  compare<TinyAutoencoder<>, TinyAutoencoder<Parallel<Strategy>, Recompute<Everything>>>(config, batch);
}

TEST_CASE_TEMPLATE("a forecaster whose units are sharded trains as on one rank", Strategy, OptimizerShard,
                   GradientShard, FullShard) {
  auto config = tests::forecaster_config();
  config.depth = 2;
  Index const images = 4 * Communicator(MPI_COMM_WORLD).size(), pixels = config.height * config.width;
  auto const in = tests::numbers(images * config.channels * pixels, 1),
             out = tests::numbers(images * config.out_channels * pixels, 2), lead = tests::numbers(images, 3);
  auto const batch = [&]<class Model>(Index first, Index count) -> typename Model::Batch {
    auto const part = [&](auto const& all, Index channels) {
      return reshape<double const****, tests::Space>(static_cast<double const*>(all.data()) + first * channels * pixels,
                                                     count, channels, config.height, config.width);
    };
    return {part(in, config.channels), part(out, config.out_channels),
            reshape<double const*, tests::Space>(static_cast<double const*>(lead.data()) + first, count)};
  };
  compare<Forecasting<>, Forecasting<Parallel<Strategy>>>(config, batch);
  compare<Forecasting<>, Forecasting<Parallel<Strategy>, Recompute<Everything>>>(config, batch);
}

TEST_CASE("prediction and features gather the values they need") {
  Communicator const world(MPI_COMM_WORLD);
  auto const config = tests::autoencoder_config();
  AutoencoderData const data(config, 2, 1);
  Index const locations = config.locations();
  auto const answers = [&]<class Model>(std::type_identity<Model>, Mesh const& mesh) {
    Model model(mesh, config, {.seed = 4});
    Workspace<tests::Space> workspace(std::size_t{8} << 20);
    Context<tests::Space> const context(workspace);
    Kokkos::View<double*, tests::Space> prediction("prediction", 2 * config.channels * config.height * config.width),
        features("features", 2 * locations * config.embed);
    auto const batch = data.batch<Model>(0, 2);
    model.predict(
        context, batch,
        reshape<double****, tests::Space>(prediction.data(), 2, config.channels, config.height, config.width));
    model.features(context, batch.images,
                   reshape<double***, tests::Space>(features.data(), 2, locations, config.embed));
    std::vector<double> all;
    for (auto const& view : {prediction, features}) {
      auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
      all.insert(all.end(), host.data(), host.data() + host.size());
    }
    return all;
  };
  CHECK(answers(std::type_identity<TinyAutoencoder<Parallel<FullShard>>>(), Mesh(world, {.shard = world.size()})) ==
        answers(std::type_identity<TinyAutoencoder<>>(), Mesh()));
}
