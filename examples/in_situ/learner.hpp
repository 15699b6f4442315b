#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <dchag/dchag.hpp>
#include <string>

#include "history.hpp"

namespace in_situ {

/// The scales of a field come together first, then the fields.
using Model = dchag::Forecaster<dchag::Tree<dchag::Linear<fields>, dchag::CrossAttention<1>>>;

struct LearnerOptions {
  int leads = 4;  // the model forecasts 1 to so many snapshots ahead
  int batch = 8, steps = 400;
  int patch = 4, embed = 64, heads = 4, depth = 2;
  double learning_rate = 2e-3;
  std::uint64_t seed = 0;
};

/// A forecast is from one snapshot to a later one.
struct Pair {
  int from, lead;
};

/// Pairs of the snapshots in the ring, drawn anew for each step.
struct RandomPairs {
  std::uint64_t key;
  int recorded, snapshots, leads;

  KOKKOS_FUNCTION Pair operator()(int image) const {
    std::uint64_t const bits = dchag::random_bits(key, static_cast<std::uint64_t>(image));
    int const lead = 1 + static_cast<int>(bits % static_cast<std::uint64_t>(leads));
    int const starts = snapshots - lead;
    return {recorded - snapshots + static_cast<int>((bits >> 32) % static_cast<std::uint64_t>(starts)), lead};
  }
};

/// Pairs one after the other, of one lead.
struct PairsFrom {
  int first, lead;

  KOKKOS_FUNCTION Pair operator()(int image) const { return {first + image, lead}; }
};

/// Root mean square errors of each variable, in its unit.
struct Errors {
  std::array<double, variables> forecast{}, persistence{};
};

/// A forecaster that learns from a history while it grows. Of each variable it predicts the mean rate of change over
/// the lead time: zero is persistence.
class Learner {
 public:
  /// All ranks of the mesh build one, with the same options. The history must outlive it.
  Learner(dchag::Mesh const& mesh, History const& history, LearnerOptions const& options)
      : options_(options),
        history_(&history),
        model_(mesh, configuration(history.cells(), options), {.seed = options.seed}),
        trainer_(model_, dchag::AdamW{.learning_rate = options.learning_rate},
                 dchag::WarmupCosine{options.steps / 10, options.steps}),
        own_("in_situ::own channels", model_.own_channels().size()),
        images_(make("in_situ::images", own_.size())),
        rate_(make("in_situ::rate", variables)),
        forecast_(make("in_situ::forecast", variables)),
        lead_time_("in_situ::lead time", size(options.batch)) {
    Kokkos::deep_copy(own_, Kokkos::View<dchag::Index const*, Kokkos::HostSpace>(model_.own_channels().data(),
                                                                                 model_.own_channels().size()));
    model_.predict(dchag::Context<Space>(workspace_), batch(), forecast_);  // measures
    workspace_.allocate(workspace_.peak());
  }

  auto& trainer() { return trainer_; }

  /// One step on pairs of the snapshots that the ring holds now. All ranks call it; answers the loss of all.
  double step() {
    int const replica = model_.mesh().replicas().rank(), replicas = model_.mesh().replicas().size();
    auto const draw = static_cast<std::uint64_t>(trainer_.steps() * replicas + replica);
    fill(RandomPairs{dchag::random_bits(options_.seed, draw), history_->recorded(), history_->snapshots(),
                     options_.leads});
    return trainer_.step(batch());
  }

  /// Of all forecasts in the ring so many snapshots ahead, on all replicas. All ranks call it.
  Errors errors(int lead) {
    std::array<double, 2 * variables> sums{};
    int count = 0;
    int const end = history_->recorded() - lead;
    for (int first = history_->recorded() - history_->snapshots(); first + options_.batch <= end;
         first += options_.batch, ++count) {
      fill(PairsFrom{first, lead});
      model_.predict(dchag::Context<Space>(workspace_), batch(), forecast_);
      for (int k = 0; k < variables; ++k) add_squares(k, lead, sums[size(2 * k)], sums[size(2 * k + 1)]);
    }
    auto const& replicas = model_.mesh().replicas();
    sums = replicas.all_reduce(sums);
    double const values = static_cast<double>(count) * replicas.size() * static_cast<double>(rate_.size()) / variables;
    Errors errors;
    for (std::size_t k = 0; k < variables; ++k) {
      errors.forecast[k] = std::sqrt(sums[2 * k] / values);
      errors.persistence[k] = std::sqrt(sums[2 * k + 1] / values);
    }
    return errors;
  }

  /// The batch's views, written where they stand on the device.
  template <class Pairs>
  void fill(Pairs const& pairs) {
    auto const ring = history_->ring();
    auto const scale = history_->scale(), change = history_->change();
    auto const own = own_;
    auto const images = images_, rate = rate_;
    auto const lead_time = lead_time_;
    int const snapshots = history_->snapshots(), count = static_cast<int>(own.size());
    float const leads = static_cast<float>(options_.leads);
    Kokkos::parallel_for(
        "in_situ::fill", cells(), KOKKOS_LAMBDA(int b, int y, int x) {
          Pair const pair = pairs(b);
          int const from = pair.from % snapshots, to = (pair.from + pair.lead) % snapshots;
          for (int c = 0; c < count; ++c) images(b, c, y, x) = ring(from, own(c), y, x) / scale(own(c));
          for (int k = 0; k < variables; ++k) {
            int const channel = channel_of(k, 0);
            float const whole = ring(to, channel, y, x) - ring(from, channel, y, x);
            rate(b, k, y, x) = whole / (static_cast<float>(pair.lead) * change(channel));
          }
          lead_time(b) = static_cast<float>(pair.lead) / leads;
        });
  }

  /// Adds the squared errors of one variable so many snapshots ahead: of the forecast, and of no change.
  void add_squares(int variable, int lead, double& of_forecast, double& of_persistence) const {
    auto const forecast = forecast_, rate = rate_;
    auto const change = history_->change();
    double model = 0, persistence = 0;
    Kokkos::parallel_reduce(
        "in_situ::errors", cells(),
        KOKKOS_LAMBDA(int b, int y, int x, double& model_sum, double& persistence_sum) {
          double const unit = lead * change(channel_of(variable, 0)), truth = unit * rate(b, variable, y, x),
                       error = unit * forecast(b, variable, y, x) - truth;
          model_sum += error * error;
          persistence_sum += truth * truth;
        },
        model, persistence);
    of_forecast += model;
    of_persistence += persistence;
  }

 private:
  using Images = Kokkos::View<float****, Kokkos::LayoutRight, Space::device_type>;

  static std::size_t size(int value) { return static_cast<std::size_t>(value); }
  static dchag::ForecasterConfig configuration(int cells, LearnerOptions const& o) {
    return {.channels = channels,
            .out_channels = variables,
            .height = cells,
            .width = cells,
            .patch = o.patch,
            .embed = o.embed,
            .heads = o.heads,
            .depth = o.depth};
  }
  Images make(std::string const& label, std::size_t count) const {
    return Images(label, size(options_.batch), count, size(history_->cells()), size(history_->cells()));
  }
  Kokkos::MDRangePolicy<Space, Kokkos::Rank<3>> cells() const {
    return {{0, 0, 0}, {options_.batch, history_->cells(), history_->cells()}};
  }
  Model::Batch batch() const { return {.images = images_, .target = rate_, .lead_time = lead_time_}; }

  LearnerOptions options_;
  History const* history_;
  Model model_;
  dchag::Trainer<Model, dchag::WarmupCosine> trainer_;
  Kokkos::View<dchag::Index*, Space::device_type> own_;
  Images images_, rate_, forecast_;
  Kokkos::View<float*, Space::device_type> lead_time_;
  dchag::Workspace<Space> workspace_;
};

}  // namespace in_situ
