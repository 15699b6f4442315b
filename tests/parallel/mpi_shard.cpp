#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/parallel/shard.hpp>
#include <string>

#include "space.hpp"
#include "training/sharded_model.hpp"

namespace {

using namespace dchag;
using tests::difference;
using tests::ShardedModel;
using tests::Which;
using tests::WholeModel;

constexpr Index each = 3;  // images of a rank of the world

std::string describe(Mesh const& mesh) {
  return "model " + std::to_string(mesh.model().size()) + ", shard " + std::to_string(mesh.shard().size()) + ", data " +
         std::to_string(mesh.data().size());
}

}  // namespace

TEST_CASE("every mesh starts with the values of one rank, and keeps of them what the strategy says") {
  Communicator const world(MPI_COMM_WORLD);
  WholeModel reference{Mesh()};
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> model(mesh);
    CHECK(difference(model, nullptr, reference, nullptr, Which::values) == 0);

    int const slices = Strategy::state ? mesh.shard().size() : 1;
    auto const sections = tests::expected_sections(model, slices);
    std::size_t expected = 0, largest = 0, largest_slice = 0;
    for (std::size_t u = 0; u < sections.size(); ++u) {
      auto const& unit = model.parameters().units()[u];
      auto const whole = static_cast<std::size_t>(sections[u].first + sections[u].second),
                 slice = whole / static_cast<std::size_t>(slices);
      CHECK(unit.size == static_cast<Index>(whole));
      CHECK(unit.values.size() == (Strategy::values ? slice : whole));
      CHECK(unit.gradients.size() == (Strategy::gradients ? slice : whole));
      CHECK(unit.owned_size() == static_cast<Index>(slice));
      expected += unit.values.size() + unit.gradients.size();
      largest = std::max(largest, whole);
      largest_slice = std::max(largest_slice, slice);
    }
    if (slices > 1) expected += largest_slice + 2 * largest * (Strategy::values + Strategy::gradients);
    CHECK(model.parameters().bytes() == expected * sizeof(double));
  });
}

TEST_CASE("gradients that a rank owns are those of one rank on all images, over several batches too") {
  Communicator const world(MPI_COMM_WORLD);
  Index const images = 2 * each * world.size();
  Workspace<tests::Space> workspace(1 << 20);
  Context<tests::Space> const context(workspace);
  WholeModel reference{Mesh()};
  double const expected = reference.gradients(context, {0, images}, 1.0);
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> model(mesh);
    auto const exchange = shard_exchange(model.parameters(), mesh);
    CHECK((exchange == nullptr) == (world.size() == 1));
    int const replicas = mesh.replicas().size();
    Index const batch = images / replicas / 2, first = 2 * batch * mesh.replicas().rank();
    double loss = 0;
    for (int round = 0; round < 2; ++round) {
      if (exchange != nullptr) exchange->begin_batch(context, round == 0, round == 1);
      loss += model.gradients(context, {first + round * batch, batch}, 0.5 / replicas) / 2;
    }
    if (exchange != nullptr) exchange->complete(context);
    CHECK(mesh.replicas().all_reduce(loss) / replicas == doctest::Approx(expected).epsilon(1e-12));
    CHECK(difference(model, nullptr, reference, nullptr, Which::gradients) < 1e-12);
    CHECK(workspace.used() == 0);
  });
}

TEST_CASE("parameters stand whole in a use, whatever is kept, and are gathered once for uses that follow each other") {
  Communicator const world(MPI_COMM_WORLD);
  Mesh const mesh(world, {.shard = world.size()});
  Workspace<tests::Space> workspace(1 << 20);
  Context<tests::Space> const context(workspace);
  WholeModel reference{Mesh()};
  ShardedModel<FullShard> model(mesh);
  auto const& parameters = model.parameters();
  auto const gathers = [&] { return mesh.shard().traffic().all_gather.calls; };
  auto const check = [&](Index unit, Pass pass) {
    auto const use = parameters.use(context, unit, pass);
    auto const& all = parameters.units()[static_cast<std::size_t>(unit)].parameters;
    for (auto const* parameter : all) {
      auto const* const whole = reference.parameters().find(parameter->name);
      for (Index i = 0; i < whole->size(); ++i) CHECK(parameter->values[i] == whole->values[i]);
    }
  };
  Index const several = world.size() > 1 ? 1 : 0;
  check(1, Pass::forward);
  check(2, Pass::forward);
  CHECK(gathers() == 2 * several);
  check(2, Pass::backward);
  CHECK(gathers() == 2 * several);
  check(1, Pass::backward);  // still in the other room
  CHECK(gathers() == 2 * several);
  check(0, Pass::forward);  // two sections
  CHECK(gathers() == 4 * several);
  parameters.values_changed();
  check(0, Pass::forward);
  CHECK(gathers() == 6 * several);
}

TEST_CASE("a backward pass that comes after the gradients were reduced is an error") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() == 1) return;
  ShardedModel<Unsharded> model(Mesh{world});
  Workspace<tests::Space> workspace(1 << 20);
  Context<tests::Space> const context(workspace);
  auto const exchange = shard_exchange(model.parameters(), model.mesh());
  exchange->begin_batch(context, true, true);
  model.gradients(context, {0, 2}, 1.0);
  CHECK_THROWS_WITH_AS(model.gradients(context, {0, 2}, 1.0),
                       "shard unit third: a second backward pass to one batch, after its gradients were reduced: make "
                       "it one use",
                       Error);
}
