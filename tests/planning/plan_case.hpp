#pragma once

#include <dchag/planning/plan.hpp>

#include "models/mesh_case.hpp"

namespace dchag::tests {

/// A step of batches of two images on this rank, planned without MPI, against one that is run: memory and traffic, to
/// the byte.
template <class Model, template <class> class Batches>
void check_plan(MeshShape shape, typename Model::Config const& config, PlannedStep const& step) {
  CAPTURE(shape.model);
  CAPTURE(shape.shard);
  Communicator const world(MPI_COMM_WORLD);
  Plan const planned = plan<Model>(Mesh::planned(world.size(), shape, world.rank()), config, step);

  Mesh const mesh(world, shape);
  Model model(mesh, config);
  Trainer trainer(model, AdamW{}, ConstantRate(), {.clip = step.clip ? 1.0 : 0.0, .accumulate = step.accumulate});
  Batches<Model> const data(model, 1, 2, 0, 2);
  auto const batch = data.batch(model, 2);
  auto const run = [&] {
    for (Index i = 0; i < step.accumulate; ++i) trainer.step(batch);
  };
  run();
  Communicator const* const axes[] = {&mesh.world(), &mesh.model(), &mesh.shard(), &mesh.data(), &mesh.replicas()};
  for (Communicator const* axis : axes) axis->reset_traffic();
  run();

  PlannedMemory const& memory = planned.memory;
  CHECK(memory.parameters + memory.gradients + memory.communication == model.parameters().bytes());
  CHECK(memory.parameters == model.parameters().value_bytes());
  CHECK(memory.gradients == model.parameters().gradient_bytes());
  CHECK(memory.optimizer == trainer.optimizer_state().bytes());
  CHECK(memory.activations + memory.workspace == trainer.workspace_bytes());
  CHECK(memory.activations > 0);
  CHECK(memory.input == batch.bytes());
  std::size_t counted = 0;
  for (Communicator const* axis : axes) {
    if (axis->size() == 1) continue;
    REQUIRE(counted < planned.traffic.size());
    AxisTraffic const& plan_of_axis = planned.traffic[counted++];
    CAPTURE(plan_of_axis.group.axis);
    CHECK(plan_of_axis.group.count == axis->size());
    CHECK(plan_of_axis.traffic == axis->traffic());
    REQUIRE(plan_of_axis.phases.size() == axis->traffic_by_phase().size());
    for (std::size_t i = 0; i < plan_of_axis.phases.size(); ++i) {
      CHECK(plan_of_axis.phases[i].phase == axis->traffic_by_phase()[i].phase);
      CHECK(plan_of_axis.phases[i].traffic == axis->traffic_by_phase()[i].traffic);
    }
  }
  CHECK(counted == planned.traffic.size());
}

}  // namespace dchag::tests
