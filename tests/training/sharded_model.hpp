#pragma once

// A model of three shard units with parameters of every sharing, whose gradients are written out by hand:
//
//   u = scale * x + shift,  h = A u,  y = gain * (B h + bias),  loss = mean over images of |y - target|^2 / 2
//
// The hidden numbers h are divided over the model ranks, unevenly, and not at all to the last of three or more. So A
// and B are divided (along their first and their second axis), scale is summed (each rank has the part of its gradient
// that comes through its hidden numbers), shift, bias and gain are copied.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/parallel/shard.hpp>
#include <dchag/training/adamw.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "space.hpp"

namespace dchag::tests {

struct ImageRange {
  Index first = 0, count = 0;  // images of an endless, always equal supply
  Index size() const { return count; }
};

template <ShardStrategy Strategy>
class ShardedModel {
 public:
  using Scalar = double;
  using Space = tests::Space;
  using Batch = ImageRange;
  static constexpr Index inputs = 45, hidden = 37, outputs = 6;
  static_assert(on_host<Space>, "this model computes on the host");

  explicit ShardedModel(Mesh const& mesh, std::uint64_t seed = 3) : mesh_(mesh), ranges_(divide(mesh.model())) {
    parameters_.begin_unit("first");
    shift_ = &parameters_.add("shift", {inputs}, normal(0.3));
    a_ = &parameters_.add("a", {hidden, inputs}, normal(0.2), Placement::divided(1, hidden, inputs, ranges_));
    scale_ = &parameters_.add("scale", {inputs}, {1, 0.3}, Placement::summed());
    parameters_.begin_unit("second");
    b_ = &parameters_.add("b", {outputs, hidden}, normal(0.2), Placement::divided(outputs, hidden, 1, ranges_));
    bias_ = &parameters_.add("bias", {outputs}, normal(0.5));
    parameters_.begin_unit("third");
    gain_ = &parameters_.add("gain", {outputs}, {1, 0.1});
    shard<Strategy>(parameters_, mesh);
    parameters_.allocate(seed);
  }

  Parameters<double, Space>& parameters() { return parameters_; }
  Mesh const& mesh() const { return mesh_; }
  std::string config_json() const { return R"({"task":"sharded"})"; }

  double gradients(Context<Space> const& context, Batch const& batch, double weight) {
    return run(context, batch, weight / static_cast<double>(batch.count), true);
  }
  double evaluate(Context<Space> const& context, Batch const& batch) { return run(context, batch, 0, false); }

  /// Whether images are not numbers.
  void break_images(bool broken) { broken_ = broken ? std::numeric_limits<double>::quiet_NaN() : 0; }
  /// Whether the uses of units are said to the parameters.
  void say_uses(bool say) { says_uses_ = say; }

  /// Hidden numbers that a model rank has.
  static Index held(std::vector<Range> const& ranges) { return Placement::divided(1, hidden, 1, ranges).held(); }
  std::vector<Range> const& ranges() const { return ranges_; }

 private:
  static std::vector<Range> divide(Communicator const& model) {
    int const dealt = model.size() >= 3 ? model.size() - 1 : model.size();
    std::vector<Range> ranges;
    Index piece = 0;
    for (Index begin = 0; begin < hidden; begin += 5, ++piece)
      if (piece % dealt == model.rank()) ranges.push_back({begin, std::min<Index>(5, hidden - begin)});
    return ranges;
  }
  double pixel(Index image, Index i) const { return broken_ + std::sin(1.3 * double(image) + 2.1 * double(i)); }
  static double target(Index image, Index o) { return std::cos(0.7 * double(image) - double(o)); }

  UnitUse<Space> use_unit(Context<Space> const& context, Index unit, Pass pass) const {
    return says_uses_ ? parameters_.use(context, unit, pass) : UnitUse<Space>(nullptr, context, unit, pass);
  }

  double run(Context<Space> const& context, Batch const& batch, double weight, bool backward) {
    auto scope = context.workspace().scope();
    Index const images = batch.count, mine = held(ranges_);
    auto const u = context.workspace().template push<double**>(images, inputs);
    auto const h = context.workspace().template push<double**>(images, mine);
    auto const z = context.workspace().template push<double**>(images, outputs);
    auto const dh = context.workspace().template push<double**>(images, mine);
    auto const du = context.workspace().template push<double**>(images, inputs);
    double loss = 0;
    {
      auto const use = use_unit(context, a_->unit, Pass::forward);
      for (Index n = 0; !context.dry() && n < images; ++n) {
        for (Index i = 0; i < inputs; ++i) u(n, i) = scale_->values[i] * pixel(batch.first + n, i) + shift_->values[i];
        for (Index k = 0; k < mine; ++k) {
          h(n, k) = 0;
          for (Index i = 0; i < inputs; ++i) h(n, k) += a_->values[k * inputs + i] * u(n, i);
        }
      }
    }
    {
      auto const use = use_unit(context, b_->unit, Pass::forward);
      for (Index n = 0; !context.dry() && n < images; ++n)
        for (Index o = 0; o < outputs; ++o) {
          z(n, o) = 0;
          for (Index k = 0; k < mine; ++k) z(n, o) += b_->values[o * mine + k] * h(n, k);
        }
      mesh_.model().all_reduce(context, z);
      for (Index n = 0; !context.dry() && n < images; ++n)
        for (Index o = 0; o < outputs; ++o) z(n, o) += bias_->values[o];
    }
    {
      auto const use = use_unit(context, gain_->unit, Pass::forward);
      for (Index n = 0; !context.dry() && n < images; ++n)
        for (Index o = 0; o < outputs; ++o) {
          double const error = gain_->values[o] * z(n, o) - target(batch.first + n, o);
          loss += 0.5 * error * error / static_cast<double>(images);
        }
    }
    if (!backward) return loss;
    {
      auto const use = use_unit(context, gain_->unit, Pass::backward);
      for (Index n = 0; !context.dry() && n < images; ++n)
        for (Index o = 0; o < outputs; ++o) {
          double const slope = weight * (gain_->values[o] * z(n, o) - target(batch.first + n, o));
          gain_->gradients[o] += slope * z(n, o);
          z(n, o) = slope * gain_->values[o];
        }
    }
    {
      auto const use = use_unit(context, b_->unit, Pass::backward);
      for (Index n = 0; !context.dry() && n < images; ++n) {
        for (Index k = 0; k < mine; ++k) dh(n, k) = 0;
        for (Index o = 0; o < outputs; ++o) {
          bias_->gradients[o] += z(n, o);
          for (Index k = 0; k < mine; ++k) {
            b_->gradients[o * mine + k] += z(n, o) * h(n, k);
            dh(n, k) += z(n, o) * b_->values[o * mine + k];
          }
        }
      }
    }
    auto const use = use_unit(context, a_->unit, Pass::backward);
    for (Index n = 0; !context.dry() && n < images; ++n)
      for (Index i = 0; i < inputs; ++i) {
        du(n, i) = 0;
        for (Index k = 0; k < mine; ++k) {
          a_->gradients[k * inputs + i] += dh(n, k) * u(n, i);
          du(n, i) += dh(n, k) * a_->values[k * inputs + i];
        }
        scale_->gradients[i] += du(n, i) * pixel(batch.first + n, i);
      }
    mesh_.model().all_reduce(context, du);
    for (Index n = 0; !context.dry() && n < images; ++n)
      for (Index i = 0; i < inputs; ++i) shift_->gradients[i] += du(n, i);
    return loss;
  }

  Mesh mesh_;
  double broken_ = 0;
  bool says_uses_ = true;
  std::vector<Range> ranges_;
  Parameters<double, Space> parameters_;
  Parameter<double, Space>*shift_, *a_, *scale_, *b_, *bias_, *gain_;
};

using WholeModel = ShardedModel<Unsharded>;

inline std::string describe(Mesh const& mesh) {
  return "model " + std::to_string(mesh.model().size()) + ", shard " + std::to_string(mesh.shard().size()) + ", data " +
         std::to_string(mesh.data().size());
}

/// The two batches of this rank in a step of 2 * each * ranks images.
inline std::vector<ImageRange> batches(Mesh const& mesh, Index each, Index step) {
  Index const images = 2 * each * mesh.world().size(), batch = images / mesh.replicas().size() / 2;
  Index const first = step * images + 2 * batch * mesh.replicas().rank();
  return {{first, batch}, {first + batch, batch}};
}

/// test(mesh, strategy) for every mesh that the ranks of the world make, with every strategy of the shard axis.
template <class Test>
void for_each_mesh(Communicator const& world, Test const& test) {
  for (int model = 1; model <= world.size(); ++model)
    for (int shards = 1; shards <= world.size() / model; ++shards) {
      if (world.size() % model != 0 || world.size() / model % shards != 0) continue;
      Mesh const mesh(world, {.model = model, .shard = shards});
      test(mesh, Unsharded());
      test(mesh, OptimizerShard());
      test(mesh, GradientShard());
      test(mesh, FullShard());
    }
}

enum class Which { values, gradients, first, second };

/// The largest difference between what this rank keeps (or, of gradients and moments, owns) and the whole tensors of
/// the reference, over the tensor's largest magnitude.
template <class Model>
double difference(Model& model, AdamWState<double, Space> const* state, WholeModel& reference,
                  AdamWState<double, Space> const* reference_state, Which which) {
  double worst = 0;
  auto const& parameters = model.parameters();
  auto const& whole_units = reference.parameters().units();
  for (std::size_t u = 0; u < whole_units.size(); ++u) {
    auto const &unit = parameters.units()[u], &whole_unit = whole_units[u];
    for (std::size_t p = 0; p < unit.parameters.size(); ++p) {
      auto const &mine = *unit.parameters[p], &whole = *whole_unit.parameters[p];
      auto const owned = Parameters<double, Space>::owned_part(unit, mine);
      double const *here = nullptr, *there = nullptr;
      Index first = owned.first, count = owned.count;
      if (which == Which::values) {
        here = mine.kept.values, there = whole.values, first = mine.kept.first, count = mine.kept.count;
      } else if (which == Which::gradients) {
        here = unit.gradients.data() + (parameters.shard().gradients ? owned.at : owned.begin);
        there = whole.gradients;
      } else {
        auto const &moments = state->moments()[u], &others = reference_state->moments()[u];
        here = (which == Which::first ? moments.first : moments.second).data() + owned.at;
        there = (which == Which::first ? others.first : others.second).data() + whole.offset;
      }
      // The reference is divided too, into adjacent pieces: as it stands in the whole tensor.
      double magnitude = 0, largest = 0;
      for (Index i = 0; i < whole.size(); ++i) magnitude = std::max(magnitude, std::abs(there[i]));
      mine.placement.runs(first, count, [&](Index at, Index held, Index length) {
        for (Index i = 0; i < length; ++i)
          largest = std::max(largest, std::abs(here[held - first + i] - there[at + i]));
      });
      if (largest > 0) worst = std::max(worst, magnitude > 0 ? largest / magnitude : 1e300);
    }
  }
  return worst;
}

/// Elements of each unit as this rank's mesh lays it out: of its two sections, what is summed and the rest.
template <class Model>
std::vector<std::pair<Index, Index>> expected_sections(Model const& model, int slices) {
  Index const pad = 32, block = pad * slices, mine = Model::held(model.ranges());
  auto const padded = [&](Index size) { return round_up(size, pad); };
  return {
      {round_up(padded(Model::inputs), block), round_up(padded(Model::inputs) + padded(mine * Model::inputs), block)},
      {0, round_up(padded(mine * Model::outputs) + padded(Model::outputs), block)},
      {0, round_up(padded(Model::outputs), block)}};
}

}  // namespace dchag::tests
