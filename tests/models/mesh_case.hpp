#pragma once

#include <doctest/doctest.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "space.hpp"

namespace dchag::tests {

using Numbers = std::vector<double>;

template <class T>
Kokkos::View<T*, Space> on_device(std::vector<T> const& host) {
  Kokkos::View<T*, Space> const view("device", host.size());
  Kokkos::deep_copy(view, Kokkos::View<T const*, Kokkos::HostSpace>(host.data(), host.size()));
  return view;
}
template <class T>
Kokkos::View<T*, Space> on_device_as(Numbers const& numbers) {
  return on_device(std::vector<T>(numbers.begin(), numbers.end()));
}
inline Numbers drawn_numbers(Index count, std::uint64_t seed, std::string const& name) {
  Numbers all(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = 0.5 * random_normal(random_key(seed, name), i);
  return all;
}

/// Draws small numbers in a sequence that is the same on every rank.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : key_(random_key(seed, "draws")) {}
  Index below(Index bound) {
    return static_cast<Index>(random_bits(key_, drawn_++) % static_cast<std::uint64_t>(bound));
  }

 private:
  std::uint64_t key_, drawn_ = 0;
};

/// Sizes of a small model, heads that divide among the model ranks; without channels.
template <class Config>
Config drawn_config(Draws& draws, Index model_ranks) {
  Config config;
  config.patch = 1 + draws.below(2);
  config.height = config.patch * (2 + draws.below(3));
  config.width = config.patch * (2 + draws.below(3));
  config.heads = model_ranks * (1 + draws.below(2));
  config.embed = config.heads * (2 + draws.below(3));
  config.depth = 1 + draws.below(2);
  config.mlp_ratio = 1.5;
  return config;
}

/// Shapes of the mesh that a job of that many ranks can have; of many ranks the one with the most of each axis, and the
/// one of model ranks alone.
inline std::vector<MeshShape> shapes_of(int ranks) {
  if (ranks == 8) return {{2, 2}, {8, 1}};
  std::vector<MeshShape> shapes;
  for (int model = 1; model <= ranks; ++model)
    for (int shard = 1; shard <= ranks / model; ++shard)
      if (ranks % (model * shard) == 0) shapes.push_back({model, shard});
  return shapes;
}

/// Of images [B, channels, plane] those from the first-th on, and of each some channels.
inline Numbers part_of(Numbers const& images, Index channels, Index plane, Index first, Index count,
                       std::vector<Index> const& own) {
  Numbers part;
  for (Index b = first; b < first + count; ++b)
    for (Index c : own) {
      auto const from = images.begin() + (b * channels + c) * plane;
      part.insert(part.end(), from, from + plane);
    }
  return part;
}

inline std::vector<Index> all_channels(Index count) {
  std::vector<Index> all;
  for (Index c = 0; c < count; ++c) all.push_back(c);
  return all;
}

/// A masked autoencoder's batches.
template <class Model>
struct AutoencoderBatches {
  using T = typename Model::Scalar;
  Kokkos::View<T*, Space> images;
  Kokkos::View<Index*, Space> keep;

  AutoencoderBatches(Model const& model, std::uint64_t seed, Index all, Index first, Index count) {
    auto const& config = model.config();
    Index const plane = config.height * config.width;
    images = on_device_as<T>(part_of(drawn_numbers(all * config.channels * plane, seed, "images"), config.channels,
                                     plane, first, count, model.own_channels()));
    std::vector<Index> visible;
    for (Index b = first; b < first + count; ++b)
      for (Index k = 0; k < config.kept(); ++k) visible.push_back((k + 3 * b) % config.locations());
    keep = on_device(visible);
  }
  typename Model::Batch batch(Model const& model, Index count) const {
    auto const& config = model.config();
    return {reshape<T const****, Space>(static_cast<T const*>(images.data()), count,
                                        static_cast<Index>(model.own_channels().size()), config.height, config.width),
            reshape<Index const**, Space>(static_cast<Index const*>(keep.data()), count, config.kept())};
  }
};

/// A forecaster's, for some lead times of each image.
template <class Model, Index leads = 1>
struct ForecasterBatches {
  using T = typename Model::Scalar;
  Kokkos::View<T*, Space> images, target, lead;

  ForecasterBatches(Model const& model, std::uint64_t seed, Index all, Index first, Index count) {
    auto const& config = model.config();
    Index const plane = config.height * config.width;
    images = on_device_as<T>(part_of(drawn_numbers(all * config.channels * plane, seed, "images"), config.channels,
                                     plane, first, count, model.own_channels()));
    target = on_device_as<T>(part_of(drawn_numbers(all * leads * config.out_channels * plane, seed, "target"),
                                     config.out_channels, plane, first * leads, count * leads,
                                     all_channels(config.out_channels)));
    lead = on_device_as<T>(part_of(drawn_numbers(all * leads, seed, "lead"), 1, 1, first * leads, count * leads, {0}));
  }
  typename Model::Batch batch(Model const& model, Index count) const {
    auto const& config = model.config();
    auto const fields = [&](auto const& data, Index images, Index channels) {
      return reshape<T const****, Space>(static_cast<T const*>(data.data()), images, channels, config.height,
                                         config.width);
    };
    return {fields(images, count, static_cast<Index>(model.own_channels().size())),
            fields(target, count * leads, config.out_channels),
            reshape<T const*, Space>(static_cast<T const*>(lead.data()), count * leads)};
  }
};

/// A model of any type, with its batches: what trains it and holds it against another is compiled once for all.
class AnyModel {
 public:
  using Scalar = double;
  using Space = tests::Space;
  struct Batch {
    std::shared_ptr<void const> typed;
    Index images;
    Index size() const { return images; }
  };

  virtual ~AnyModel() = default;
  virtual Parameters<double, Space>& parameters() = 0;
  virtual Mesh const& mesh() const = 0;
  virtual std::string config_json() const = 0;
  virtual double gradients(Context<Space> const& context, Batch const& batch, double weight) = 0;
  virtual double evaluate(Context<Space> const& context, Batch const& batch) = 0;
  /// `count` images from the first-th on, of as many as all ranks draw together.
  virtual Batch draw(std::uint64_t seed, Index all, Index first, Index count) = 0;
};

template <class Model, template <class> class Batches>
class ModelOf : public AnyModel {
 public:
  ModelOf(Mesh const& mesh, typename Model::Config const& config, BuildOptions const& options)
      : model_(mesh, config, options) {}

  Parameters<double, Space>& parameters() override { return model_.parameters(); }
  Mesh const& mesh() const override { return model_.mesh(); }
  std::string config_json() const override { return model_.config_json(); }
  double gradients(Context<Space> const& context, Batch const& batch, double weight) override {
    return model_.gradients(context, typed(batch), weight);
  }
  double evaluate(Context<Space> const& context, Batch const& batch) override {
    return model_.evaluate(context, typed(batch));
  }
  Batch draw(std::uint64_t seed, Index all, Index first, Index count) override {
    return {std::make_shared<Batches<Model> const>(model_, seed, all, first, count), count};
  }

 private:
  typename Model::Batch typed(Batch const& batch) const {
    return static_cast<Batches<Model> const*>(batch.typed.get())->batch(model_, batch.images);
  }
  Model model_;
};

/// Trains `one`, on one rank, and `many`, on all, with the images of a step divided among the replicas of `many`, whose
/// parameters `read`, on one rank, then reads from a checkpoint.
inline void check_same_training(AnyModel& one, AnyModel& many, AnyModel& read, std::uint64_t seed) {
  Communicator const world(MPI_COMM_WORLD);
  Communicator const& replicas_of = many.mesh().replicas();
  Index const each = 2, halves = 2, replicas = replicas_of.size(), all = each * halves * replicas;
  // An epsilon far above the rounding of gradients that are nearly zero, which AdamW would make steps of; steps small
  // enough that no draw diverges, where rounding grows a hundredfold a step.
  AdamW const adamw{.learning_rate = 1e-3, .epsilon = 1e-4};
  TrainerOptions const options{.clip = 0.05, .accumulate = halves};
  Trainer alone(one, adamw, ConstantRate(), options), together(many, adamw, ConstantRate(), options);
  for (std::uint64_t step = 0; step < 3; ++step) {
    double expected = 0, found = 0;
    for (Index half = 0; half < halves; ++half) {
      expected = alone.step(one.draw(seed + step, all, half * each * replicas, each * replicas));
      found = together.step(many.draw(seed + step, all, (half * replicas + replicas_of.rank()) * each, each));
    }
    CHECK(std::fabs(found - expected) <= 1e-10 * std::fabs(expected));
    CHECK(std::fabs(together.report().gradient_norm - alone.report().gradient_norm) <=
          1e-9 * alone.report().gradient_norm);
  }
  auto const path =
      std::filesystem::temp_directory_path() /
      ("dchag-mesh-" + std::to_string(world.all_reduce(static_cast<int>(::getpid()), Reduction::max)) + ".safetensors");
  save(many, together, path);
  load(read, path);
  world.barrier();
  if (world.rank() == 0) std::filesystem::remove(path);
  for (auto const& parameter : one.parameters().all()) {
    CAPTURE(parameter.name);
    auto const host = [](auto const& p) {
      return Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), p.template value<double*>(p.size()));
    };
    auto const expected = host(parameter), found = host(*read.parameters().find(parameter.name));
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      largest = std::fmax(largest, std::fabs(expected(i)));
      difference = std::fmax(difference, std::fabs(expected(i) - found(i)));
    }
    CHECK(difference <= 1e-10 * std::fmax(largest, 1e-2));
  }
  double const expected = alone.evaluate(one.draw(seed + 9, all, 0, each * replicas));
  double const found = together.evaluate(many.draw(seed + 9, all, replicas_of.rank() * each, each));
  CHECK(std::fabs(found - expected) <= 1e-9 * expected);
}

/// Three steps of training, clipped and with accumulation, on a mesh and on one rank: losses, norms and the parameters,
/// which go through a checkpoint, are the same.
template <class Model, template <class> class Batches>
void check_training(MeshShape shape, typename Model::Config const& config, std::uint64_t seed) {
  CAPTURE(shape.model);
  CAPTURE(shape.shard);
  CAPTURE(seed);
  std::vector<double> costs;  // which Balanced reads
  for (Index c = 0; c < config.channels; ++c) costs.push_back(static_cast<double>(1 + c % 4));
  ModelOf<Model, Batches> one(Mesh(), config, {.seed = seed}),
      many(Mesh(Communicator(MPI_COMM_WORLD), shape), config, {.seed = seed, .channel_costs = costs}),
      read(Mesh(), config, {.seed = seed + 1});
  check_same_training(one, many, read, seed);
}

}  // namespace dchag::tests
