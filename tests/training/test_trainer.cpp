#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <dchag/training/trainer.hpp>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "linear_regression.hpp"
#include "space.hpp"

namespace {

using dchag::AdamW;
using dchag::Index;
using dchag::Mesh;
using dchag::StepReport;
using dchag::tests::Space;

template <class T>
using Model = dchag::tests::LinearRegression<T, Space>;

constexpr Index inputs = 6, outputs = 3;

template <class T = double>
auto images(Index first, Index count) {
  return dchag::tests::regression_batch<T, Space>(first, count, inputs, outputs);
}

std::atomic<int> allocations = 0;

static_assert(dchag::TrainableModel<Model<float>>);
static_assert(!dchag::TrainableModel<int>);

}  // namespace

TEST_CASE_TEMPLATE("training lowers the loss, and what is reported is what was done", T, float, double) {
  Mesh const mesh;
  Model<T> model(mesh, inputs, outputs);
  dchag::Trainer trainer(model, AdamW{.learning_rate = 0.05}, dchag::WarmupCosine{.warmup = 2, .total = 60});
  std::vector<StepReport> reports;
  trainer.on_step([&](StepReport const& report) { reports.push_back(report); });
  auto const batch = images<T>(0, 16);
  double const before = trainer.evaluate(batch);
  double const first = trainer.step(batch);
  CHECK(first == before);
  for (int step = 1; step < 60; ++step) trainer.step(batch);
  CHECK(trainer.evaluate(batch) < 0.5 * before);
  CHECK(trainer.steps() == 60);
  REQUIRE(reports.size() == 60);
  CHECK(reports[0].step == 1);
  CHECK(reports[0].total == 60);
  CHECK(reports[0].loss == first);
  CHECK(reports[0].learning_rate == doctest::Approx(0.025));
  CHECK(reports[1].learning_rate == doctest::Approx(0.05));
  CHECK(reports[0].gradient_norm > 0);
  CHECK(reports[0].seconds > 0);
  CHECK(reports[0].samples_per_second == doctest::Approx(16 / reports[0].seconds));
  CHECK(trainer.report().step == 60);
}

TEST_CASE("a constant rate, the library's options: two arguments suffice") {
  Model<double> model(Mesh(), inputs, outputs);
  dchag::Trainer trainer(model, AdamW{.learning_rate = 0.1});
  trainer.step(images(0, 4));
  CHECK(trainer.report().learning_rate == 0.1);
  CHECK(trainer.report().total == 0);
}

TEST_CASE("two halves of a batch accumulated give the step of the whole batch") {
  auto const whole = images(0, 12);
  std::vector const halves{images(0, 6), images(6, 6)};
  auto const values = [&](auto const& steps, dchag::TrainerOptions options) {
    Model<double> model(Mesh(), inputs, outputs);
    dchag::Trainer trainer(model, AdamW{.learning_rate = 0.05}, dchag::ConstantRate(), options);
    steps(trainer);
    CHECK(trainer.steps() == 3);
    CHECK(trainer.pending() == 0);
    return std::pair(dchag::tests::numbers_of(model), trainer.report().loss);
  };
  auto const [expected, loss] = values(
      [&](auto& trainer) {
        for (int i = 0; i < 3; ++i) trainer.step(whole);
      },
      {});
  auto const [together, loss_together] = values(
      [&](auto& trainer) {
        for (int i = 0; i < 3; ++i) trainer.step(halves);
      },
      {});
  auto const [one_by_one, loss_one_by_one] = values(
      [&](auto& trainer) {
        for (int i = 0; i < 3; ++i) {
          trainer.step(halves[0]);
          CHECK(trainer.pending() == 1);
          trainer.step(halves[1]);
        }
      },
      {.accumulate = 2});
  CHECK(together == one_by_one);
  CHECK(loss_together == loss_one_by_one);
  CHECK(loss == doctest::Approx(loss_together).epsilon(1e-13));
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(together[i] == doctest::Approx(expected[i]).epsilon(1e-12));
}

TEST_CASE("gradients are clipped by their global norm before the optimizer") {
  // With these betas a first step moves by rate * g / (|g| + epsilon); with epsilon far above g, by rate * g / epsilon.
  auto const moved = [](double clip) {
    Model<double> model(Mesh(), inputs, outputs);
    auto const before = dchag::tests::numbers_of(model);
    dchag::Trainer trainer(model, AdamW{.learning_rate = 1, .epsilon = 1e6, .weight_decay = 0}, dchag::ConstantRate(),
                           {.clip = clip});
    trainer.step(images(0, 8));
    auto const after = dchag::tests::numbers_of(model);
    double squares = 0;
    for (std::size_t i = 0; i < after.size(); ++i) squares += (after[i] - before[i]) * (after[i] - before[i]);
    return std::pair(1e6 * std::sqrt(squares), trainer.report().gradient_norm);
  };
  auto const [free, no_norm] = moved(0);
  CHECK(std::isnan(no_norm));
  auto const [clipped, norm] = moved(0.01);
  CHECK(norm == doctest::Approx(free).epsilon(1e-4));
  CHECK(free > 0.1);
  CHECK(clipped == doctest::Approx(0.01).epsilon(1e-3));
  CHECK(moved(100).first == doctest::Approx(free).epsilon(1e-6));
}

TEST_CASE("a step allocates nothing, once planned") {
  Model<float> model(Mesh(), inputs, outputs);
  dchag::Trainer trainer(model, AdamW{}, dchag::ConstantRate(), {.accumulate = 2});
  auto const batch = images<float>(0, 64), larger = images<float>(0, 256);
  CHECK(trainer.workspace_bytes() == 0);
  trainer.plan(batch);
  std::size_t const planned = trainer.workspace_bytes();
  CHECK(planned > 0);
  trainer.step(batch);
  trainer.step(batch);
  trainer.evaluate(batch);

  Kokkos::Tools::Experimental::set_allocate_data_callback(
      [](Kokkos_Profiling_SpaceHandle, char const*, void const*, std::uint64_t) { ++allocations; });
  allocations = 0;
  for (int i = 0; i < 6; ++i) trainer.step(batch);
  trainer.evaluate(batch);
  CHECK(allocations == 0);
  trainer.evaluate(larger);  // the callback is alive: a larger batch needs more
  CHECK(allocations > 0);
  Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
  CHECK(trainer.workspace_bytes() > planned);
}

TEST_CASE("a larger batch in mid-training is planned for, and changes no result") {
  auto const values = [](bool planned) {
    Model<double> model(Mesh(), inputs, outputs);
    dchag::Trainer trainer(model, AdamW{});
    if (planned) trainer.plan(images(0, 100));
    trainer.step(images(0, 4));
    trainer.step(images(4, 100));
    trainer.step(images(0, 4));
    return dchag::tests::numbers_of(model);
  };
  CHECK(values(false) == values(true));
}

TEST_CASE("evaluation is the mean over images, and leaves the model alone") {
  Model<double> model(Mesh(), inputs, outputs);
  dchag::Trainer trainer(model, AdamW{});
  auto const before = dchag::tests::numbers_of(model);
  std::vector const batches{images(0, 3), images(3, 10), images(13, 1)};
  CHECK(trainer.evaluate(batches) == doctest::Approx(trainer.evaluate(images(0, 14))).epsilon(1e-13));
  CHECK(dchag::tests::numbers_of(model) == before);
  CHECK(trainer.steps() == 0);
  CHECK_THROWS_WITH_AS(trainer.evaluate(std::vector<Model<double>::Batch>()),
                       "trainer: evaluation of no images: give at least one batch", dchag::Error);
}

TEST_CASE("a loss that is not finite is an error, and the parameters stay as they were") {
  Model<double> model(Mesh(), inputs, outputs);
  dchag::Trainer trainer(model, AdamW{});
  trainer.step(images(0, 4));
  auto const before = dchag::tests::numbers_of(model);
  auto const broken = images(0, 4);
  Kokkos::deep_copy(Kokkos::subview(broken.x, 1, 2), std::numeric_limits<double>::quiet_NaN());
  CHECK_THROWS_WITH_AS(trainer.step(broken), doctest::Contains("trainer: step 2: the loss is nan"), dchag::Error);
  CHECK(dchag::tests::numbers_of(model) == before);
  trainer.step(images(0, 4));  // nothing of the broken batch is left in the gradients
  Model<double> other(Mesh(), inputs, outputs);
  dchag::Trainer never(other, AdamW{});
  never.step(images(0, 4));
  never.step(images(0, 4));
  CHECK(dchag::tests::numbers_of(model) == dchag::tests::numbers_of(other));
}

TEST_CASE("gradients left over from before training do not count") {
  auto const values = [](bool dirty) {
    Model<double> model(Mesh(), inputs, outputs);
    if (dirty)
      for (auto const& unit : model.parameters().units()) Kokkos::deep_copy(unit.gradients, 5.0);
    dchag::Trainer trainer(model, AdamW{});
    trainer.step(images(0, 4));
    return dchag::tests::numbers_of(model);
  };
  CHECK(values(true) == values(false));
}

TEST_CASE("options that make no sense are errors that name the field") {
  Model<float> model(Mesh(), inputs, outputs);
  auto const make = [&](AdamW optimizer, dchag::TrainerOptions options) {
    dchag::Trainer trainer(model, optimizer, dchag::ConstantRate(), options);
  };
  CHECK_THROWS_WITH_AS(make({}, {.clip = -1}),
                       "trainer: clip = -1: give the largest norm of the gradients, or 0 for none", dchag::Error);
  CHECK_THROWS_WITH_AS(make({}, {.accumulate = 0}), "trainer: accumulate = 0: give at least 1 batch a step",
                       dchag::Error);
  CHECK_THROWS_WITH_AS(make({.beta1 = 2}, {}), "AdamW: beta1 = 2: give a value from 0 to below 1", dchag::Error);
  CHECK_THROWS_AS(dchag::Trainer(model, AdamW{}, dchag::WarmupCosine{}), dchag::Error);
  dchag::Trainer trainer(model, AdamW{}, dchag::ConstantRate(), {.accumulate = 3});
  CHECK_THROWS_AS(trainer.step(std::span<Model<float>::Batch const>()), dchag::Error);
  auto const batch = images<float>(0, 4);
  trainer.step(batch);
  CHECK_THROWS_WITH_AS(trainer.step(std::span(&batch, 1)),
                       "trainer: 1 of 3 batches of a step were given one by one: complete it", dchag::Error);
}
