#pragma once

#include <dchag/dchag.hpp>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "forecasts.hpp"

namespace sea {

/// Trains a model on the start months of the training part; in a folder it leaves log.jsonl and model.safetensors: the
/// parameters that did best on the validation part, and all that forecasts with them need besides the fields.
///
/// The model ranks of a replica each have their own channels of the same months; the replicas divide the months of a
/// step. On any mesh a step is of the same months.
template <class Model>
class Training {
 public:
  /// All ranks of the mesh build one together; what it is given must outlive it.
  Training(dchag::Mesh const& mesh, Options const& options, Departures const& departures, Inputs const& inputs)
      : mesh_(mesh),
        options_(options),
        departures_(&departures),
        inputs_(&inputs),
        model_(mesh, configuration(options, inputs, departures.fields()), {.seed = options.seed}),
        forecasts_(model_, departures, inputs),
        trainer_(model_, dchag::AdamW{.learning_rate = options.learning_rate, .weight_decay = options.weight_decay},
                 dchag::ConstantRate{}, {.total = options.steps}) {}
  Training(Training const&) = delete;

  Model& model() { return model_; }
  Forecasts<Model>& forecasts() { return forecasts_; }
  double seconds() const { return seconds_; }  // of training, validation included
  Index best_step() const { return best_step_; }
  std::size_t workspace_bytes() const { return trainer_.workspace_bytes(); }

  /// All steps; the model is then the best one. All ranks call it.
  void run() {
    std::filesystem::path const out(options_.out);
    dchag::Progress progress(mesh_);
    trainer_.on_step(std::ref(progress));
    std::optional<dchag::JsonLog> log;
    if (mesh_.world().rank() == 0) {
      log.emplace(out / "log.jsonl", dchag::JsonLog::Mode::replace);
      trainer_.on_step(std::ref(*log));
    }
    auto const starts = starts_of(Part::train), validation = starts_of(Part::validation);
    dchag::BatchOrder order(static_cast<std::int64_t>(starts.size()), options_.batch, options_.seed);
    double best = std::numeric_limits<double>::max();
    Kokkos::Timer const timer;
    while (trainer_.steps() < options_.steps) {
      std::vector<std::size_t> some;
      for (std::int64_t const i : order.part(trainer_.steps(), mesh_.replicas().rank(), mesh_.replicas().size()))
        some.push_back(starts[static_cast<std::size_t>(i)]);
      trainer_.step(forecasts_.batch(some));
      Index const step = trainer_.steps();
      if (step < options_.steps && step % options_.validate != 0) continue;
      double const own = over_leads(forecasts_.scores(validation)).rmse();
      double const error = mesh_.world().all_reduce(own, dchag::Reduction::max);  // one answer for what all do next
      if (error < best) {
        best = error;
        best_step_ = step;
        save(out / "model.safetensors");
      }
      if (log) log->write({{"step", step}, {"validation_rmse", error}});
      progress.note("step " + std::to_string(step) + ": validation rmse " + decimals(error, 4) + " K");
    }
    progress.finish();
    seconds_ = timer.seconds();
    dchag::load(model_, out / "model.safetensors");
  }

 private:
  void save(std::filesystem::path const& path) {
    dchag::save(model_, path,
                {{"weather.statistics", dchag::dump_json(dchag::statistics_json(inputs_->statistics()))},
                 {"weather.departures", dchag::dump_json(departures_->json())},
                 {"weather.scale", dchag::dump_json(forecasts_.scale())},
                 {"weather.step", std::to_string(trainer_.steps())}});
  }

  dchag::Mesh mesh_;
  Options options_;
  Departures const* departures_;
  Inputs const* inputs_;
  Model model_;
  Forecasts<Model> forecasts_;
  dchag::Trainer<Model, dchag::ConstantRate> trainer_;
  double seconds_ = 0;
  Index best_step_ = 0;
};

/// What a file of Training says of its model.
class SavedModel {
 public:
  explicit SavedModel(std::filesystem::path const& path)
      : path_(path), metadata_(dchag::SafetensorsFile(path).metadata()) {}

  dchag::ForecasterConfig config() const { return dchag::ForecasterConfig::from(entry("dchag.config")); }
  Departures departures(Fields const& fields) const { return {fields, entry("weather.departures")}; }
  double scale() const { return dchag::json_to<double>(entry("weather.scale"), "weather.scale"); }

  /// The inputs in the order in which the model knows them. Throws Error where it knows other channels than there are.
  Inputs inputs(Departures const& departures) const {
    Inputs inputs(departures);
    inputs.reorder(dchag::match_channels(config().channel_list, inputs.channels()));
    inputs.use(dchag::statistics_from(entry("weather.statistics")));
    return inputs;
  }

 private:
  dchag::Json entry(std::string const& name) const {
    auto const found = metadata_.find(name);
    require(found != metadata_.end(), path_, ": has no \"", name, "\", it is not of this program");
    return dchag::parse_json(found->second, path_);
  }

  std::string path_;
  dchag::Metadata metadata_;
};

}  // namespace sea
