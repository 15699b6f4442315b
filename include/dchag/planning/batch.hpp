#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>

namespace dchag {

/// The step of training that is planned.
struct PlannedStep {
  Index images = 1;      // of a batch, on each replica
  Index leads = 1;       // forecasts of an image, where the model makes forecasts
  Index accumulate = 1;  // batches of a step
  bool clip = true;      // gradients by their norm
  // On GPUs: temporaries and kernels are as large as there, whatever space the model is compiled for. A model that is
  // compiled for a GPU is planned so in any case.
  bool device = false;

  /// Throws where a number makes no sense.
  void check() const {
    auto const positive = [](char const* field, Index value) {
      require(value >= 1, "planned step: ", field, " = ", value, ": give at least 1");
    };
    positive("images", images);
    positive("leads", leads);
    positive("accumulate", accumulate);
  }
};

/// A model of another kind than the library's says what its batches are.
template <class Model>
concept PlansBatches = requires(Model const& model, PlannedStep const& step) {
  { model.planned_batch(step) } -> std::convertible_to<typename Model::Batch>;
};

/// Views of that many images for the model, on memory that is not there: for contexts that measure.
template <class Model>
typename Model::Batch planned_batch(Model const& model, PlannedStep const& step) {
  using Scalar = typename Model::Scalar;
  using Space = typename Model::Space;
  if constexpr (PlansBatches<Model>) {
    return model.planned_batch(step);
  } else {
    auto const& config = model.config();
    auto const nowhere = []<class T>(T*) { return reinterpret_cast<T*>(std::uintptr_t{1} << 12); };
    Scalar const* const numbers = nowhere(static_cast<Scalar const*>(nullptr));
    auto const fields = [&](Index images, Index channels) {
      return reshape<Scalar const****, Space>(numbers, images, channels, config.height, config.width);
    };
    auto const images = fields(step.images, static_cast<Index>(model.own_channels().size()));
    if constexpr (requires { config.kept(); }) {
      return {images,
              reshape<Index const**, Space>(nowhere(static_cast<Index const*>(nullptr)), step.images, config.kept())};
    } else {
      Index const forecasts = step.images * step.leads;
      return {images, fields(forecasts, config.out_channels), reshape<Scalar const*, Space>(numbers, forecasts)};
    }
  }
}

}  // namespace dchag
