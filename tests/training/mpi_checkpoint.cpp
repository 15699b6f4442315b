#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/training/checkpoint.hpp>
#include <dchag/training/trainer.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/full_disk.hpp"
#include "io/scratch.hpp"
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

constexpr Index each = 2;  // images of a rank of the world, in each of two batches

template <class Model>
auto trainer_of(Model& model) {
  return Trainer(model, AdamW{.learning_rate = 0.05}, WarmupCosine{.warmup = 2, .total = 8}, {.clip = 0.2});
}

ImageRange all_images(Communicator const& world, Index step) {
  Index const images = 2 * each * world.size();
  return {step * images, images};
}

/// A folder of the first rank that all know.
class SharedScratch {
 public:
  explicit SharedScratch(Communicator const& world) : world_(world) {
    if (world.rank() == 0) own_ = std::make_unique<tests::Scratch>();
    folder_ = world.all_gather(own_ ? (*own_ / "").string() : "")[0];
  }
  ~SharedScratch() { world_.barrier(); }
  std::filesystem::path operator/(std::string const& name) const { return folder_ / name; }
  std::size_t entries() const {
    world_.barrier();
    auto const count = std::distance(std::filesystem::directory_iterator(folder_), {});
    world_.barrier();
    return static_cast<std::size_t>(count);
  }

 private:
  Communicator world_;
  std::unique_ptr<tests::Scratch> own_;
  std::filesystem::path folder_;
};

}  // namespace

TEST_CASE("what any mesh writes is what one rank writes: whole tensors under their names, in the same places") {
  Communicator const world(MPI_COMM_WORLD);
  SharedScratch const folder(world);
  WholeModel reference{Mesh()};
  auto one = trainer_of(reference);
  one.step(all_images(world, 0));
  auto const expected_path = folder / ("one" + std::to_string(world.rank()));
  save(reference, one, expected_path, {{"note", "one"}});
  SafetensorsFile const expected(expected_path);
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> model(mesh);
    auto trainer = trainer_of(model);
    trainer.step(tests::batches(mesh, each, 0));
    save(model, trainer, folder / "all", {{"note", "one"}});
    {
      SafetensorsFile const file(folder / "all");
      CHECK(file.metadata() == expected.metadata());
      REQUIRE(file.tensors().size() == expected.tensors().size());
      for (std::size_t i = 0; i < file.tensors().size(); ++i) {
        auto const &here = file.tensors()[i], &there = expected.tensors()[i];
        CHECK(here.name == there.name);
        CHECK(here.begin == there.begin);
        CHECK(here.shape == there.shape);
        auto const numbers = file.read<double>(here.name), others = expected.read<double>(there.name);
        double largest = 0, magnitude = 0;
        for (std::size_t k = 0; k < numbers.size(); ++k) {
          largest = std::max(largest, std::abs(numbers[k] - others[k]));
          magnitude = std::max(magnitude, std::abs(others[k]));
        }
        CHECK(largest <= 1e-11 * magnitude);
      }
    }
    world.barrier();
  });
  CHECK(folder.entries() == static_cast<std::size_t>(world.size()) + 1);
}

TEST_CASE("a run resumed on the same mesh goes on bit for bit; on another one, to rounding") {
  Communicator const world(MPI_COMM_WORLD);
  SharedScratch const folder(world);
  WholeModel reference{Mesh()};
  auto one = trainer_of(reference);
  for (Index step = 0; step < 5; ++step) one.step(all_images(world, step));
  int round = 0;  // on many ranks, each mesh is followed by some of the others, each time by other ones
  tests::for_each_mesh(world, [&]<class Strategy>(Mesh const& mesh, Strategy) {
    CAPTURE(describe(mesh));
    ShardedModel<Strategy> whole(mesh), second(mesh, 99);
    auto uninterrupted = trainer_of(whole), after = trainer_of(second);
    {
      ShardedModel<Strategy> first(mesh);
      auto before = trainer_of(first);
      for (Index step = 0; step < 3; ++step) before.step(tests::batches(mesh, each, step));
      save(first, before, folder / "training");
    }
    after.step(tests::batches(mesh, each, 7));  // nothing of it survives
    load(second, after, folder / "training");
    CHECK(after.steps() == 3);
    for (Index step = 0; step < 5; ++step) uninterrupted.step(tests::batches(mesh, each, step));
    for (Index step = 3; step < 5; ++step) after.step(tests::batches(mesh, each, step));
    CHECK(tests::numbers_of(second) == tests::numbers_of(whole));
    CHECK(after.report().loss == uninterrupted.report().loss);

    int pair = ++round;
    tests::for_each_mesh(world, [&]<class Other>(Mesh const& other_mesh, Other) {
      if (world.size() > 4 && ++pair % 5 != 0) return;
      CAPTURE(describe(other_mesh));
      ShardedModel<Other> other(other_mesh, 98);
      auto trainer = trainer_of(other);
      load(other, trainer, folder / "training");
      for (Index step = 3; step < 5; ++step) trainer.step(tests::batches(other_mesh, each, step));
      CHECK(difference(other, &trainer.optimizer_state(), reference, &one.optimizer_state(), Which::values) < 1e-10);
      CHECK(difference(other, &trainer.optimizer_state(), reference, &one.optimizer_state(), Which::second) < 1e-10);
    });
    WholeModel alone(Mesh(), 97);
    auto trainer = trainer_of(alone);
    load(alone, trainer, folder / "training");
    for (Index step = 3; step < 5; ++step) trainer.step(all_images(world, step));
    CHECK(difference(alone, nullptr, reference, nullptr, Which::values) < 1e-10);
    world.barrier();
  });
}

TEST_CASE("where one rank cannot write, all throw what it says, and what stood there before is left alone") {
  Communicator const world(MPI_COMM_WORLD);
  SharedScratch const folder(world);
  int const last = world.size() - 1;
  for (bool const by_slices : {true, false}) {
    Mesh const mesh(world, {.model = by_slices ? 1 : world.size(), .shard = by_slices ? world.size() : 1});
    ShardedModel<OptimizerShard> model(mesh);
    auto trainer = trainer_of(model);
    save(model, folder / "model");
    auto const before = tests::slurp(folder / "model");
    // The last rank that holds hidden numbers writes near the end of A, beyond any of these bytes.
    int const failing = by_slices || world.size() < 3 ? last : last - 1;
    auto const message = [&] {
      if (world.rank() != failing) return tests::error_of([&] { save(model, trainer, folder / "model"); });
      tests::FullDisk const full(world.size() == 1 ? 8192 : 4096);
      return tests::error_of([&] { save(model, trainer, folder / "model"); });
    }();
    CHECK(tests::holds(message, (folder / "model").string()));
    if (world.size() > 1 && failing > 0) {
      CHECK(tests::holds(message, "cannot be written at byte"));
      CHECK(tests::holds(message, "(rank " + std::to_string(failing) + ")"));
    }
    CHECK(tests::slurp(folder / "model") == before);
    CHECK(folder.entries() == 1);
  }
  CHECK_THROWS_WITH_AS(save(*std::make_unique<ShardedModel<Unsharded>>(Mesh(world)), "/nonexistent/folder/model"),
                       doctest::Contains("/nonexistent/folder/model: cannot be created: "), Error);
}

TEST_CASE("where one rank cannot read, all throw") {
  Communicator const world(MPI_COMM_WORLD);
  SharedScratch const folder(world);
  ShardedModel<FullShard> model(Mesh(world, {.shard = world.size()}));
  save(model, folder / "model");
  int const last = world.size() - 1;
  auto const message = tests::error_of([&] { load(model, folder / (world.rank() == last ? "absent" : "model")); });
  CHECK(tests::holds(message, (folder / "absent: no such file").string()));
  load(model, folder / "model");
}

TEST_CASE("ranges that leave an entry to no rank are found when they are written") {
  Communicator const world(MPI_COMM_WORLD);
  SharedScratch const folder(world);
  struct Model {
    using Scalar = double;
    using Space = tests::Space;
    using Batch = ImageRange;
    Mesh mesh_;
    Parameters<double, tests::Space> parameters_;
    explicit Model(Mesh const& mesh) : mesh_(mesh) {
      std::vector<Range> const ranges = mesh.model().rank() == 0 ? std::vector<Range>{{0, 3}} : std::vector<Range>{};
      parameters_.add("a", {4, 2}, normal(1), Placement::divided(1, 4, 2, ranges));
      parameters_.allocate(1);
    }
    Parameters<double, tests::Space>& parameters() { return parameters_; }
    Mesh const& mesh() const { return mesh_; }
    std::string config_json() const { return "{}"; }
  } model(Mesh(world, {.model = world.size()}));
  CHECK_THROWS_WITH_AS(save(model, folder / "model"), doctest::Contains("the ranks hold 6 elements of tensors of 8"),
                       Error);
  CHECK(folder.entries() == 0);
}
