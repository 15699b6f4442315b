#pragma once

#include <algorithm>
#include <cstddef>
#include <dchag/dchag.hpp>
#include <span>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "options.hpp"

namespace sea {

inline dchag::ForecasterConfig configuration(Options const& o, Inputs const& inputs, Fields const& fields) {
  dchag::ForecasterConfig config{.channels = static_cast<Index>(inputs.channels().size()),
                                 .out_channels = static_cast<Index>(leads),
                                 .height = static_cast<Index>(Fields::rows),
                                 .width = static_cast<Index>(Fields::columns),
                                 .patch = o.patch,
                                 .embed = o.embed,
                                 .heads = o.heads,
                                 .depth = o.depth,
                                 .mlp_ratio = o.mlp_ratio};
  config.latitudes = fields.grid().latitudes();
  config.channel_list = inputs.channels();
  for (std::size_t lead = 1; lead <= leads; ++lead)
    config.out_channel_list.push_back({"ssta_month" + std::to_string(lead), "K"});
  config.dropout = o.dropout;
  return config;
}

/// Batches for a model and what it makes of them: what is left of a departure after damped persistence, in `scale` K.
template <class Model>
class Forecasts {
 public:
  using Space = typename Model::Space;
  using Batch = typename Model::Batch;

  /// All of them must outlive it.
  Forecasts(Model& model, Departures const& departures, Inputs const& inputs)
      : model_(&model), departures_(&departures), inputs_(&inputs) {
    Fields const& fields = departures.fields();
    weight_ = Buffer("sea", Fields::cells);
    auto const host = Kokkos::create_mirror_view(weight_);
    for (std::size_t cell = 0; cell < Fields::cells; ++cell) host(cell) = fields.sea(cell) ? 1.0f : 0.0f;
    Kokkos::deep_copy(weight_, host);
    auto const starts = starts_of(Part::train);
    scale_ = over_leads(scores_of(departures, starts, [&](std::size_t i, std::size_t lead, std::size_t cell) {
               return damped(starts[i], lead, cell);
             })).rmse();
  }

  double scale() const { return scale_; }
  void set_scale(double scale) { scale_ = scale; }

  double damped(std::size_t start, std::size_t lead, std::size_t cell) const {
    return departures_->damping(lead, cell) * (*departures_)(start, cell);
  }

  /// This rank's channels of forecasts from these months, and where the targets are known what they come to. The next
  /// call overwrites it.
  Batch batch(std::vector<std::size_t> const& starts) {
    auto const& own = model_->own_channels();
    std::size_t const count = starts.size(), channels = own.size();
    auto const images = room(images_, count * channels), targets = room(targets_, count * leads);
    std::size_t const last = departures_->fields().months().size();
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t c = 0; c < channels; ++c) {
        auto const plane = inputs_->plane(static_cast<std::size_t>(own[c]), starts[i]);
        std::copy(plane.begin(), plane.end(), images.data() + (i * channels + c) * Fields::cells);
      }
      for (std::size_t lead = 0; lead < leads; ++lead)
        for (std::size_t cell = 0; cell < Fields::cells; ++cell) {
          std::size_t const month = starts[i] + lead + 1;
          double const left = month < last ? (*departures_)(month, cell) - damped(starts[i], lead, cell) : 0;
          targets((i * leads + lead) * Fields::cells + cell) = static_cast<float>(left / scale_);
        }
    }
    Kokkos::deep_copy(images_, images);
    Kokkos::deep_copy(targets_, targets);
    if (lead_time_.extent(0) < count) lead_time_ = Buffer("lead_time", count);
    auto const shaped = [&](Buffer const& buffer, std::size_t images_count, std::size_t of_one) {
      return dchag::reshape<float const****, Space>(
          static_cast<float const*>(buffer.data()), static_cast<Index>(images_count), static_cast<Index>(of_one),
          static_cast<Index>(Fields::rows), static_cast<Index>(Fields::columns));
    };
    return {
        shaped(images_, count, channels), shaped(targets_, count, leads),
        dchag::reshape<float const*, Space>(static_cast<float const*>(lead_time_.data()), static_cast<Index>(count)),
        shaped(weight_, 1, 1)};
  }

  /// Departures forecast from these months, [starts, leads, cells]. The model ranks of a replica call it together.
  std::vector<float> predict(std::vector<std::size_t> const& starts) {
    constexpr std::size_t at_once = 16;
    std::vector<float> forecasts;
    for (std::size_t begin = 0; begin < starts.size(); begin += at_once) {
      std::size_t const count = std::min(at_once, starts.size() - begin), values = count * leads * Fields::cells;
      std::vector<std::size_t> const some(starts.begin() + static_cast<std::ptrdiff_t>(begin),
                                          starts.begin() + static_cast<std::ptrdiff_t>(begin + count));
      auto const inputs = batch(some);
      if (answers_.extent(0) < values) answers_ = Buffer("answers", values);
      auto const answers =
          dchag::reshape<float****, Space>(answers_.data(), static_cast<Index>(count), static_cast<Index>(leads),
                                           static_cast<Index>(Fields::rows), static_cast<Index>(Fields::columns));
      run([&](auto const& context) { model_->predict(context, inputs, answers); });
      auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), answers_);
      for (std::size_t i = 0; i < values; ++i) {
        std::size_t const cell = i % Fields::cells, lead = i / Fields::cells % leads;
        bool const sea = departures_->fields().sea(cell);
        forecasts.push_back(
            sea ? static_cast<float>(damped(some[i / Fields::cells / leads], lead, cell) + scale_ * host(i)) : 0.0f);
      }
    }
    return forecasts;
  }

  Scores scores(std::vector<std::size_t> const& starts) {
    auto const forecasts = predict(starts);
    return scores_of(*departures_, starts, [&](std::size_t i, std::size_t lead, std::size_t cell) {
      return forecasts[(i * leads + lead) * Fields::cells + cell];
    });
  }

 private:
  using Buffer = Kokkos::View<float*, typename Space::device_type>;

  /// Makes that many fields of room, and answers where they are filled on the host.
  static auto room(Buffer& buffer, std::size_t fields) {
    if (buffer.extent(0) != fields * Fields::cells) buffer = Buffer("batch", fields * Fields::cells);
    return Kokkos::create_mirror_view(buffer);
  }

  /// Runs it once over sizes alone to learn what workspace it needs, then in earnest.
  template <class Run>
  void run(Run const& body) {
    dchag::Workspace<Space> measuring;
    body(dchag::Context<Space>(measuring));
    if (workspace_.measuring() || workspace_.capacity() < measuring.peak()) workspace_.allocate(measuring.peak());
    body(dchag::Context<Space>(workspace_));
    Space().fence("forecast");
  }

  Model* model_;
  Departures const* departures_;
  Inputs const* inputs_;
  Buffer images_, targets_, lead_time_, weight_, answers_;
  dchag::Workspace<Space> workspace_;
  double scale_ = 1;
};

}  // namespace sea
