#include <doctest/doctest.h>
#include <mpi.h>

#include <atomic>
#include <dchag/training/trainer.hpp>
#include <span>
#include <string>
#include <vector>

#include "linear_regression.hpp"
#include "sharded_model.hpp"
#include "space.hpp"

namespace {

using namespace dchag;
using tests::describe;
using tests::difference;
using tests::ImageRange;
using tests::ShardedModel;
using tests::Which;
using tests::WholeModel;

constexpr Index each = 3;  // images of a rank of the world, in each of two batches

template <class Model>
auto trainer_of(Model& model) {
  return Trainer(model, AdamW{.learning_rate = 0.05}, WarmupCosine{.warmup = 2, .total = 6}, {.clip = 0.2});
}

std::atomic<int> allocations = 0;

}  // namespace

TEST_CASE("on any mesh and with any strategy, three steps are those of one rank, clipped and accumulated") {
  Communicator const world(MPI_COMM_WORLD);
  WholeModel reference{Mesh()};
  auto one = trainer_of(reference);
  std::vector<StepReport> expected;
  for (Index step = 0; step < 3; ++step) {
    one.step(ImageRange{step * 2 * each * world.size(), 2 * each * world.size()});
    expected.push_back(one.report());
    REQUIRE(one.report().gradient_norm > 0.2);
  }
  double const evaluated = one.evaluate(ImageRange{0, 2 * each * world.size()});
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> model(mesh);
    auto trainer = trainer_of(model);
    for (StepReport const& report : expected) {
      double const loss = trainer.step(tests::batches(mesh, each, report.step - 1));
      CHECK(loss == doctest::Approx(report.loss).epsilon(1e-11));
      CHECK(trainer.report().gradient_norm == doctest::Approx(report.gradient_norm).epsilon(1e-11));
    }
    auto const differs = [&](Which which) {
      return difference(model, &trainer.optimizer_state(), reference, &one.optimizer_state(), which);
    };
    CHECK(differs(Which::values) < 1e-10);
    CHECK(differs(Which::first) < 1e-10);
    CHECK(differs(Which::second) < 1e-10);
    CHECK(trainer.evaluate(tests::batches(mesh, each, 0)) == doctest::Approx(evaluated).epsilon(1e-11));

    auto const slices = static_cast<std::size_t>(Strategy::state ? mesh.shard().size() : 1);
    std::size_t elements = 0;
    for (auto const& unit : model.parameters().units()) elements += static_cast<std::size_t>(unit.size);
    CHECK(trainer.optimizer_state().bytes() == 2 * elements / slices * sizeof(double));
  });
}

TEST_CASE("batches given one by one make the step of batches given together") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD), {.shard = Communicator(MPI_COMM_WORLD).size()}};
  ShardedModel<GradientShard> model(mesh), other(mesh);
  auto together = trainer_of(model);
  Trainer apart(other, AdamW{.learning_rate = 0.05}, WarmupCosine{.warmup = 2, .total = 6},
                {.clip = 0.2, .accumulate = 2});
  for (Index step = 0; step < 2; ++step) {
    double const loss = together.step(tests::batches(mesh, each, step));
    apart.step(tests::batches(mesh, each, step)[0]);
    CHECK(apart.pending() == 1);
    CHECK(apart.step(tests::batches(mesh, each, step)[1]) == loss);
  }
  auto const numbers = tests::numbers_of(model), others = tests::numbers_of(other);
  CHECK(numbers == others);
}

TEST_CASE("a step sends what the strategy says, to the byte") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() == 1) return;
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> model(mesh);
    auto trainer = trainer_of(model);
    trainer.step(tests::batches(mesh, each, 0));
    for (Communicator const* ranks : {&mesh.shard(), &mesh.data(), &mesh.replicas(), &mesh.model(), &mesh.world()})
      ranks->reset_traffic();
    trainer.step(tests::batches(mesh, each, 1));

    bool const sliced = Strategy::state && mesh.shard().size() > 1;
    Index const slices = sliced ? mesh.shard().size() : 1, batch = tests::batches(mesh, each, 0)[0].count;
    auto const sections = tests::expected_sections(model, static_cast<int>(slices));
    Traffic shard, data, replicas, model_ranks;
    auto const add = [](Traffic::Verb& verb, Index elements, Index times = 1) {
      verb.calls += times;
      verb.bytes += times * elements * 8;
    };
    // Two units have room. Of the first batch: first and second, the third in the place of the first, which comes back
    // for its backward pass. Of the second batch: the third and again the first.
    Index const gathered[] = {3, 1, 2};
    for (std::size_t u = 0; u < sections.size(); ++u) {
      bool const whole = !sliced && sections[u].first > 0;
      std::vector<Index> parts;
      if (whole) parts = {sections[u].first + sections[u].second};
      if (!whole && sections[u].first > 0) parts.push_back(sections[u].first);
      if (!whole) parts.push_back(sections[u].second);
      for (Index part : parts) {
        if (sliced) add(shard.reduce_scatter, part, Strategy::gradients ? 2 : 1);
        if (sliced) add(shard.all_gather, part / slices, Strategy::values ? gathered[u] : 1);
        add(sliced ? data.all_reduce : replicas.all_reduce, part / slices);
      }
      if (sections[u].first > 0) add(model_ranks.all_reduce, sections[u].first / slices);
    }
    add(model_ranks.all_reduce, batch * ShardedModel<Strategy>::outputs, 2);
    add(model_ranks.all_reduce, batch * ShardedModel<Strategy>::inputs, 2);
    add(model_ranks.all_reduce, 1);  // the norm
    if (sliced) add(shard.all_reduce, 1);
    add(replicas.all_reduce, 2);  // the loss, and how many images
    auto const check = [](Communicator const& ranks, Traffic const& traffic) {
      CHECK(ranks.traffic() == (ranks.size() == 1 ? Traffic{} : traffic));
    };
    check(mesh.shard(), shard);
    check(mesh.data(), data);
    check(mesh.replicas(), replicas);
    check(mesh.model(), model_ranks);
    check(mesh.world(), {});
  });
}

TEST_CASE("a step allocates nothing, once planned, whatever is sharded") {
  Communicator const world(MPI_COMM_WORLD);
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> model(mesh);
    auto trainer = trainer_of(model);
    auto const first = tests::batches(mesh, each, 0);
    trainer.step(first);
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos_Profiling_SpaceHandle, char const*, void const*, std::uint64_t) { ++allocations; });
    allocations = 0;
    trainer.step(first);
    trainer.evaluate(first);
    CHECK(allocations == 0);
    Kokkos::View<double*, tests::Space> const counted("counted", 1);
    CHECK(allocations == 1);
    Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
  });
}

TEST_CASE("a loss that is not finite on one replica is an error on all, and the next step is as if it had not been") {
  Communicator const world(MPI_COMM_WORLD);
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> model(mesh), other(mesh);
    auto trainer = trainer_of(model), never = trainer_of(other);
    trainer.step(tests::batches(mesh, each, 0));
    never.step(tests::batches(mesh, each, 0));
    if (mesh.replicas().rank() == 0) model.break_images(true);
    CHECK_THROWS_WITH_AS(trainer.step(tests::batches(mesh, each, 1)),
                         doctest::Contains("trainer: step 2: the loss is nan"), Error);
    model.break_images(false);
    trainer.step(tests::batches(mesh, each, 1));
    never.step(tests::batches(mesh, each, 1));
    CHECK(tests::numbers_of(model) == tests::numbers_of(other));
  });
}

TEST_CASE("models that do not say which units they use can have their optimizer sharded, and nothing else") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() == 1) return;
  Mesh const mesh(world, {.shard = world.size()});
  ShardedModel<GradientShard> silent(mesh);
  silent.say_uses(false);
  auto trainer = trainer_of(silent);
  CHECK_THROWS_WITH_AS(trainer.plan({0, 2}),
                       "shard unit first: only slices of it are kept, but its backward pass is no use of it: hold what "
                       "parameters().use(context, unit, Pass::backward) answers meanwhile",
                       Error);
  ShardedModel<OptimizerShard> model(mesh);
  model.say_uses(false);
  WholeModel reference{Mesh()};
  auto one = trainer_of(reference);
  auto all = trainer_of(model);
  one.step(ImageRange{0, 2 * each * world.size()});
  all.step(tests::batches(mesh, each, 0));
  CHECK(difference(model, nullptr, reference, nullptr, Which::values) < 1e-10);
}

TEST_CASE("evaluation of different numbers of batches is an error where parameters are gathered, on every rank") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() == 1) return;
  Mesh const mesh(world, {.shard = world.size()});
  ShardedModel<FullShard> model(mesh);
  auto trainer = trainer_of(model);
  std::vector<ImageRange> const own(mesh.world().rank() == 0 ? 2 : 1, ImageRange{0, 2});
  std::string const message =
      "trainer: evaluation of different numbers of batches: 1 of " + std::to_string(world.size()) +
      " ranks of the shard axis, which gather parameters from each other, have one more: give each as many";
  CHECK_THROWS_WITH_AS(trainer.evaluate(own), message.c_str(), Error);
}
