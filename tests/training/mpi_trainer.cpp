#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/training/checkpoint.hpp>
#include <dchag/training/progress.hpp>
#include <dchag/training/trainer.hpp>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "linear_regression.hpp"
#include "space.hpp"

namespace {

using dchag::AdamW;
using dchag::Communicator;
using dchag::Index;
using dchag::Mesh;
using dchag::tests::numbers_of;
using dchag::tests::Space;

using Model = dchag::tests::LinearRegression<double, Space>;
using Batches = std::vector<Model::Batch>;

constexpr Index inputs = 6, outputs = 3, each = 4;

auto images(Index first, Index count) {
  return dchag::tests::regression_batch<double, Space>(first, count, inputs, outputs);
}

auto trainer_of(Model& model) {
  return dchag::Trainer(model, AdamW{.learning_rate = 0.05}, dchag::WarmupCosine{.warmup = 2, .total = 6},
                        {.clip = 0.2});
}

}  // namespace

TEST_CASE("data-parallel training gives the losses and the parameters of one rank") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD)};
  Index const size = mesh.data().size(), rank = mesh.data().rank();
  Model alone(Mesh(), inputs, outputs), together(mesh, inputs, outputs);
  auto one = trainer_of(alone), all = trainer_of(together);
  for (Index step = 0; step < 6; ++step) {
    double const expected = one.step(images(step * size * each, size * each));
    double const loss = all.step(images((step * size + rank) * each, each));
    CHECK(loss == doctest::Approx(expected).epsilon(1e-12));
    CHECK(all.report().gradient_norm == doctest::Approx(one.report().gradient_norm).epsilon(1e-12));
  }
  auto const expected = numbers_of(alone), numbers = numbers_of(together);
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(numbers[i] == doctest::Approx(expected[i]).epsilon(1e-11));
  for (double const number : numbers) CHECK(mesh.world().all_reduce(number, dchag::Reduction::max) == number);
}

TEST_CASE("accumulation over batches and over ranks is one mean") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD)};
  Index const size = mesh.data().size(), rank = mesh.data().rank();
  Model alone(Mesh(), inputs, outputs), together(mesh, inputs, outputs);
  auto one = trainer_of(alone), all = trainer_of(together);
  double const expected = one.step(images(0, 2 * size * each));
  double const loss = all.step(Batches{images(2 * rank * each, each), images((2 * rank + 1) * each, each)});
  CHECK(loss == doctest::Approx(expected).epsilon(1e-12));
  auto const reference = numbers_of(alone), numbers = numbers_of(together);
  for (std::size_t i = 0; i < reference.size(); ++i) CHECK(numbers[i] == doctest::Approx(reference[i]).epsilon(1e-11));
}

TEST_CASE("a step sends each flat buffer once, and two numbers") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD)};
  if (mesh.world().size() == 1) return;
  Model model(mesh, inputs, outputs);
  auto trainer = trainer_of(model);
  trainer.plan(images(0, each));
  CHECK(mesh.replicas().traffic().calls() == 0);
  trainer.step(images(0, each));
  Index elements = 0;
  for (auto const& unit : model.parameters().units()) elements += unit.size;
  dchag::Traffic expected;
  expected.all_reduce = {2 + 1, elements * 8 + 2 * 8};
  CHECK(mesh.replicas().traffic() == expected);
  CHECK(mesh.world().traffic().calls() == 0);
  CHECK(mesh.model().traffic().calls() == 0);
}

TEST_CASE("evaluation is the mean over the images of all ranks, also where ranks have different numbers of them") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD)};
  int const size = mesh.world().size(), rank = mesh.world().rank();
  Model alone(Mesh(), inputs, outputs), together(mesh, inputs, outputs);
  auto one = trainer_of(alone), all = trainer_of(together);
  // Rank r has r batches of two images, and one of one image.
  Batches own{images(rank * rank, 1)};
  for (int i = 0; i < rank; ++i) own.push_back(images(rank * rank + 1 + 2 * i, 2));
  CHECK(all.evaluate(own) == doctest::Approx(one.evaluate(images(0, size * size))).epsilon(1e-12));
}

TEST_CASE("a checkpoint is written once and read by all; where it cannot be written, all ranks throw") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD)};
  auto const path =
      std::filesystem::temp_directory_path() /
      ("dchag-mpi-" + std::to_string(mesh.world().all_reduce(static_cast<int>(::getpid()), dchag::Reduction::max)));
  Index const rank = mesh.world().rank();
  Model whole(mesh, inputs, outputs), first(mesh, inputs, outputs), second(mesh, inputs, outputs, 99);
  auto uninterrupted = trainer_of(whole), before = trainer_of(first), after = trainer_of(second);
  auto const batch = [&](Index step) { return images((step * mesh.world().size() + rank) * each, each); };
  for (Index step = 0; step < 6; ++step) uninterrupted.step(batch(step));
  for (Index step = 0; step < 3; ++step) before.step(batch(step));
  dchag::save(first, before, path);
  dchag::load(second, after, path);
  for (Index step = 3; step < 6; ++step) after.step(batch(step));
  CHECK(numbers_of(second) == numbers_of(whole));
  mesh.world().barrier();
  if (rank == 0) std::filesystem::remove(path);

  CHECK_THROWS_WITH_AS(dchag::save(first, "/nonexistent/folder/model.safetensors"),
                       doctest::Contains("/nonexistent/folder/model.safetensors: "), dchag::Error);
}

TEST_CASE("progress is shown on rank 0 only") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD)};
  std::ostringstream out;
  dchag::Progress progress(mesh, {.stream = &out});
  progress({.step = 1, .total = 1});
  progress.note("done");
  CHECK(out.str().empty() == (mesh.world().rank() != 0));
}
