#pragma once

#include <cstddef>
#include <dchag/core/work.hpp>
#include <dchag/io/json.hpp>
#include <dchag/models/settings.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/parallel/traffic.hpp>
#include <dchag/planning/batch.hpp>
#include <dchag/training/trainer.hpp>
#include <vector>

namespace dchag {

/// Bytes of a rank. A Trainer's run allocates these, and besides only what does not grow with the model: lists of a few
/// bytes a channel and a row.
struct PlannedMemory {
  std::size_t parameters = 0, gradients = 0, optimizer = 0;
  std::size_t communication = 0;  // rooms for values and gradients that come from or go to other ranks
  std::size_t activations = 0;    // of the workspace: what forward passes leave for backward passes
  std::size_t workspace = 0;      // the rest of it: what comes and goes within a pass
  std::size_t input = 0;          // one batch

  std::size_t total() const {
    return parameters + gradients + optimizer + communication + activations + workspace + input;
  }
};

/// What a rank sends in a step to the ranks of one axis of the mesh.
struct AxisTraffic {
  RankGroup group;
  Traffic traffic;
  std::vector<PhaseTraffic> phases;
};

/// What one step of training is on one rank.
struct Plan {
  int ranks = 1, rank = 0;  // of the job; the rank that is planned
  MeshShape shape;
  int data = 1;    // ranks of the data axis: what the shape leaves over
  int slices = 1;  // that parameters, gradients or optimizer state are cut into over the shard axis
  PlannedStep step;
  std::size_t scalar = 4;            // bytes of a number as computed
  double elements = 0;               // parameters of the whole model
  PlannedMemory memory;              // of the rank
  std::vector<AxisTraffic> traffic;  // of the rank, by axis: those of more than one rank
  Work work;                         // of the rank

  /// Images of a step, on all replicas.
  Index images() const { return step.images * step.accumulate * (ranks / shape.model); }

  /// Multiply-adds of the products, and of the loops that are more than passes over memory.
  double product_multiply_adds() const { return total(WorkItem::Kind::product, &WorkItem::multiply_adds); }
  double loop_multiply_adds() const { return total(WorkItem::Kind::loop, &WorkItem::multiply_adds); }
  /// Bytes that loops move between memory and the processor.
  double loop_bytes() const { return total(WorkItem::Kind::loop, &WorkItem::bytes); }
  /// Bytes sent over all axes.
  Index bytes_sent() const {
    Index bytes = 0;
    for (AxisTraffic const& axis : traffic) bytes += axis.traffic.bytes();
    return bytes;
  }

 private:
  double total(WorkItem::Kind kind, double WorkItem::*field) const {
    double sum = 0;
    for (WorkItem const& item : work.items())
      if (item.kind == kind) sum += item.*field;
    return sum;
  }
};

/// The plan as JSON, totals included and the items of the work left out.
inline Json to_json(Plan const& plan) {
  PlannedMemory const& memory = plan.memory;
  Json axes = Json::array();
  for (AxisTraffic const& axis : plan.traffic) {
    Json verbs = Json::object();
    axis.traffic.each([&](char const* name, Traffic::Verb const& verb) {
      if (verb.calls > 0) verbs[name] = {{"calls", verb.calls}, {"bytes", verb.bytes}};
    });
    axes.push_back({{"axis", axis.group.axis},
                    {"ranks", axis.group.count},
                    {"stride", axis.group.stride},
                    {"sent", std::move(verbs)}});
  }
  return {{"ranks", plan.ranks},
          {"rank", plan.rank},
          {"model", plan.shape.model},
          {"shard", plan.shape.shard},
          {"data", plan.data},
          {"images", plan.images()},
          {"parameters", plan.elements},
          {"memory",
           {{"parameters", memory.parameters},
            {"gradients", memory.gradients},
            {"optimizer", memory.optimizer},
            {"communication", memory.communication},
            {"activations", memory.activations},
            {"workspace", memory.workspace},
            {"input", memory.input},
            {"total", memory.total()}}},
          {"traffic", std::move(axes)},
          {"product_multiply_adds", plan.product_multiply_adds()},
          {"loop_multiply_adds", plan.loop_multiply_adds()},
          {"loop_bytes", plan.loop_bytes()}};
}

/// Plans a step of a model that was built without storage on a planned mesh (or on one rank), by running the step over
/// sizes. Nothing is known here of any model: what the plan says is what the model's own code asks for. On a host it
/// depends on the threads of the execution space, since some temporaries do. Throws where the real step would for
/// reasons of size.
template <TrainableModel Model>
Plan plan(Model& model, typename Model::Batch const& batch, PlannedStep const& step) {
  step.check();
  Mesh const& mesh = model.mesh();
  require(mesh.world().size() == 1 || mesh.world().is_planned(), "plan: the model is on a mesh of ",
          mesh.world().size(), " real ranks: build it on Mesh::planned()");
  auto& parameters = model.parameters();
  Plan plan;
  plan.ranks = mesh.world().size();
  plan.rank = mesh.world().rank();
  plan.shape = {mesh.model().size(), mesh.shard().size()};
  plan.data = mesh.data().size();
  plan.slices = parameters.shard().count;
  plan.step = step;
  plan.scalar = sizeof(typename Model::Scalar);
  for (auto const& parameter : parameters.all()) plan.elements += static_cast<double>(parameter.whole_size());

  Pieces::PlanDevice const pieces(step.device);
  Communicator const* const axes[] = {&mesh.world(), &mesh.model(), &mesh.shard(), &mesh.data(), &mesh.replicas()};
  for (Communicator const* axis : axes) axis->reset_traffic();
  Trainer<Model> trainer(model, {}, {}, {.clip = step.clip ? 1.0 : 0.0, .accumulate = step.accumulate});
  std::size_t const workspace = trainer.rehearse(batch, plan.work);
  for (Communicator const* axis : axes)
    if (axis->size() > 1) plan.traffic.push_back({axis->group(), axis->traffic(), axis->traffic_by_phase()});

  PlannedMemory& memory = plan.memory;
  memory.parameters = parameters.value_bytes();
  memory.gradients = parameters.gradient_bytes();
  memory.communication = parameters.room_bytes();
  memory.optimizer = trainer.optimizer_state().bytes();
  memory.activations = plan.work.kept();
  memory.workspace = workspace - memory.activations;
  if constexpr (requires { batch.bytes(); }) memory.input = batch.bytes();
  return plan;
}

/// The same of a Model of that configuration, as the rank of a planned mesh sees it:
///
///     Plan const plan = dchag::plan<Weather>(Mesh::planned(64, {.model = 8, .shard = 4}), config, {.images = 2});
template <TrainableModel Model>
Plan plan(Mesh const& mesh, typename Model::Config const& config, PlannedStep const& step = {},
          BuildOptions options = {}) {
  step.check();
  options.storage = false;
  Model model(mesh, config, options);
  return plan(model, planned_batch(model, step), step);
}

}  // namespace dchag
