#pragma once

#include <concepts>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/parallel/mesh.hpp>
#include <string>

namespace dchag {

// What a trainer asks of a model, one requirement a concept.

/// Model::Scalar, Model::Space and Model::Batch are types.
template <class Model>
concept HasTypes = requires {
  typename Model::Scalar;
  typename Model::Space;
  typename Model::Batch;
};

/// model.parameters() answers the Parameters<Scalar, Space>, allocated.
template <class Model>
concept HasParameters = requires(Model& model) {
  { model.parameters() } -> std::same_as<Parameters<typename Model::Scalar, typename Model::Space>&>;
};

/// model.mesh() answers the mesh that the model was built on.
template <class Model>
concept HasMesh = requires(Model const& model) {
  { model.mesh() } -> std::convertible_to<Mesh const&>;
};

/// batch.size() answers the number of images.
template <class Model>
concept HasBatchSize = requires(typename Model::Batch const& batch) {
  { batch.size() } -> std::convertible_to<Index>;
};

/// model.gradients(context, batch, weight) answers the loss of a batch and adds weight times its gradient to the
/// gradients of the parameters. It leaves the workspace as it found it, and answers zero in a dry context. A model
/// whose parameters were given to shard() says which unit it uses by Parameters::use: around its forward pass where
/// values are sharded, around its backward pass, once a batch, where gradients are. One that says so without need has
/// the unit's gradients reduced while the backward pass of the next one runs.
template <class Model>
concept HasGradients = requires(Model& model, Context<typename Model::Space> const& context,
                                typename Model::Batch const& batch, double weight) {
  { model.gradients(context, batch, weight) } -> std::same_as<double>;
};

/// model.evaluate(context, batch) answers the loss of a batch, by a forward pass alone.
template <class Model>
concept HasEvaluate = requires(Model& model, Context<typename Model::Space> const& context,
                               typename Model::Batch const& batch) {
  { model.evaluate(context, batch) } -> std::same_as<double>;
};

/// A model that draws random numbers in training is told by model.begin_batch(step, batch), before the gradients of a
/// batch, the steps taken and the number of the batch in its step: a run that is resumed draws what it would have.
template <class Model>
concept CountsBatches = requires(Model& model, Index number) {
  model.begin_batch(number, number);
};

template <class Model>
concept TrainableModel = HasTypes<Model> && HasParameters<Model> && HasMesh<Model> && HasBatchSize<Model> &&
    HasGradients<Model> && HasEvaluate<Model>;

/// model.config_json() answers the configuration as a JSON object: what must be equal for parameters to fit.
template <class Model>
concept HasConfiguration = requires(Model const& model) {
  { model.config_json() } -> std::convertible_to<std::string>;
};

template <class Model>
concept CheckpointModel = HasTypes<Model> && HasParameters<Model> && HasMesh<Model> && HasConfiguration<Model>;

}  // namespace dchag
