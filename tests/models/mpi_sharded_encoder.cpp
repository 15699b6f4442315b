#include <doctest/doctest.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <dchag/models/encoder.hpp>
#include <dchag/parallel/shard.hpp>
#include <dchag/training/trainer.hpp>
#include <string>
#include <vector>

#include "space.hpp"

namespace {

using namespace dchag;
using TestSpace = tests::Space;

struct Images {
  Index first = 0, count = 0;
  Index size() const { return count; }
};

template <class T>
void fill_rows(Context<TestSpace> const& context, Index first, Index count, T const& x) {
  context.loop(
      "test::rows", count, KOKKOS_LAMBDA(Index i) { x(i) = Kokkos::sin(0.37 * double(first + i)); });
}

/// loss = mean of y^2 / 2; g becomes weight times its gradient.
inline double squares(Context<TestSpace> const& context, View<double*, TestSpace> const& y, double weight) {
  double const scale = 1 / static_cast<double>(y.size());
  double const loss = context.sum<double>(
      "test::squares", static_cast<Index>(y.size()),
      KOKKOS_LAMBDA(Index i, double& sum) { sum += 0.5 * scale * y(i) * y(i); });
  context.loop(
      "test::gradient", static_cast<Index>(y.size()), KOKKOS_LAMBDA(Index i) { y(i) *= weight * scale; });
  return loss;
}

/// A transformer on given rows, its squares the loss.
template <class Trunk, class Strategy>
class Model {
 public:
  using Scalar = double;
  using Space = TestSpace;
  using Batch = Images;
  static constexpr Index locations = 5;

  Model(Mesh const& mesh, TransformerConfig const& config)
      : mesh_(mesh), config_(config), encoder_(parameters_, config, "", mesh.model()) {
    shard<Strategy>(parameters_, mesh);
    parameters_.allocate(6);
  }
  Parameters<double, Space>& parameters() { return parameters_; }
  Mesh const& mesh() const { return mesh_; }

  double gradients(Context<Space> const& context, Batch const& batch, double weight) {
    auto scope = context.workspace().scope();
    auto const x = rows(context, batch);
    encoder_.forward(context, matrix(x), batch.count);
    double const loss = squares(context, x, weight);
    encoder_.backward(context, matrix(x));
    return loss;
  }
  double evaluate(Context<Space> const& context, Batch const& batch) {
    auto scope = context.workspace().scope();
    auto const x = rows(context, batch);
    encoder_.evaluate(context, matrix(x), batch.count);
    return squares(context, x, 0);
  }

 private:
  View<double*, Space> rows(Context<Space> const& context, Batch const& batch) const {
    Index const one = locations * config_.embed;
    auto const x = context.workspace().template push<double*>(batch.count * one);
    fill_rows(context, batch.first * one, batch.count * one, x);
    return x;
  }
  linalg::Matrix<double> matrix(View<double*, Space> const& x) const {
    return {x.data(), static_cast<Index>(x.size()) / config_.embed, config_.embed};
  }

  Mesh mesh_;
  TransformerConfig config_;
  Parameters<double, Space> parameters_;
  Encoder<double, Space, false, Trunk> encoder_;
};

/// What this rank keeps, against the same elements of the whole tensors of the reference.
template <class Sharded, class Whole>
double difference(Sharded& model, Whole& reference) {
  double worst = 0;
  for (auto const& parameter : model.parameters().all()) {
    auto const* const whole = reference.parameters().find(parameter.name);
    auto const& kept = parameter.kept;
    auto const here =
        Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), reshape<double*, TestSpace>(kept.values, kept.count));
    auto const there =
        Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), whole->template value<double*>(whole->size()));
    double magnitude = 0, largest = 0;
    for (Index i = 0; i < whole->size(); ++i) magnitude = std::max(magnitude, std::abs(there(i)));
    parameter.placement.runs(kept.first, kept.count, [&](Index at, Index held, Index length) {
      for (Index i = 0; i < length; ++i)
        largest = std::max(largest, std::abs(here(held - kept.first + i) - there(at + i)));
    });
    if (largest > 0) worst = std::max(worst, largest / magnitude);
  }
  return worst;
}

template <class AnyModel>
auto trainer_of(AnyModel& model) {
  // An epsilon above the rounding of gradients that are zero, those of the keys' biases: AdamW divides it by itself.
  return Trainer(model, AdamW{.learning_rate = 1e-2, .epsilon = 1e-4}, ConstantRate(), {.clip = 0.05});
}

template <class Trunk, class Strategy>
void compare(Mesh const& mesh) {
  Index const ranks = mesh.world().size(), total = 2 * ranks, own = total / mesh.replicas().size();
  TransformerConfig const config{.embed = 4 * ranks, .heads = ranks, .depth = 3, .mlp_ratio = 2};
  Model<Trunk, Unsharded> reference(Mesh(), config);
  Model<Trunk, Strategy> model(mesh, config);
  auto one = trainer_of(reference);
  auto all = trainer_of(model);
  Index const first = own * mesh.replicas().rank();
  for (int step = 0; step < 3; ++step) {
    double const expected = one.step(Images{0, total});
    std::vector<Images> const batches{{first, own / 2}, {first + own / 2, own / 2}};
    CHECK(all.step(batches) == doctest::Approx(expected).epsilon(1e-10));
    CHECK(all.report().gradient_norm == doctest::Approx(one.report().gradient_norm).epsilon(1e-10));
  }
  CHECK(difference(model, reference) < 1e-10);
  CHECK(all.evaluate(Images{first, own}) == doctest::Approx(one.evaluate(Images{0, total})).epsilon(1e-10));
}

}  // namespace

TEST_CASE_TEMPLATE("a transformer spread over the model ranks, its units over the shard ranks, trains as on one rank",
                   Trunk, dchag::Tensor, TensorSequence, Sequence, Replicated) {
  Communicator const world(MPI_COMM_WORLD);
  for (int model = 1; model <= world.size(); ++model)
    for (int shards = 1; shards <= world.size() / model; ++shards) {
      if (world.size() % model != 0 || world.size() / model % shards != 0) continue;
      Mesh const mesh(world, {.model = model, .shard = shards});
      CAPTURE(model);
      CAPTURE(shards);
      compare<Trunk, Unsharded>(mesh);
      compare<Trunk, OptimizerShard>(mesh);
      compare<Trunk, GradientShard>(mesh);
      compare<Trunk, FullShard>(mesh);
    }
}
