#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/parallel/mesh.hpp>
#include <string>

using dchag::Communicator;
using dchag::Mesh;

namespace {
std::string message(Communicator const& world, dchag::MeshShape shape) {
  try {
    Mesh const mesh(world, shape);
  } catch (dchag::Error const& error) {
    return error.what();
  }
  return "";
}
}  // namespace

TEST_CASE("rank = (data * shards + shard) * models + model, for every shape that fits") {
  Communicator const world(MPI_COMM_WORLD);
  int const size = world.size(), rank = world.rank();
  for (int models = 1; models <= size; ++models) {
    for (int shards = 1; models * shards <= size; ++shards) {
      if (size % (models * shards) != 0) continue;
      CAPTURE(models);
      CAPTURE(shards);
      Mesh const mesh(world, {.model = models, .shard = shards});
      CHECK(mesh.model().size() == models);
      CHECK(mesh.shard().size() == shards);
      CHECK(mesh.data().size() == size / models / shards);
      CHECK(mesh.replicas().size() == size / models);
      CHECK(mesh.replicas().rank() == mesh.data().rank() * shards + mesh.shard().rank());
      CHECK(rank == mesh.replicas().rank() * models + mesh.model().rank());
      CHECK(mesh.world().rank() == rank);
    }
  }
}

TEST_CASE("the model ranks of a replica are neighbours") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() != 4) return;
  Mesh const mesh(world, {.model = 2});
  CHECK(mesh.model().all_reduce(world.rank()) == (world.rank() < 2 ? 0 + 1 : 2 + 3));
  CHECK(mesh.data().all_reduce(world.rank()) == (world.rank() % 2 == 0 ? 0 + 2 : 1 + 3));
}

TEST_CASE("a mesh takes any group of ranks, and its world has sent nothing") {
  Communicator const world(MPI_COMM_WORLD), some = world.split(world.rank() == 0 ? 1 : 0, -world.rank());
  Mesh const mesh(some, {.model = some.size()});
  CHECK(mesh.model().size() == (world.rank() == 0 ? 1 : world.size() - 1));
  CHECK(mesh.model().rank() == some.rank());
  CHECK(mesh.model().all_reduce(world.rank()) == world.size() * (world.size() - 1) / 2 * (world.rank() != 0));
  for (auto const* axis : {&mesh.world(), &mesh.shard(), &mesh.data(), &mesh.replicas()})
    CHECK(axis->traffic().calls() == 0);
}

TEST_CASE("ranks that give different shapes all throw, before any of them waits for the others") {
  Communicator const world(MPI_COMM_WORLD);
  int const size = world.size(), last = size - 1;
  if (size == 1) return;
  std::string const ranks = last == 1 ? "rank 0" : "ranks 0-" + std::to_string(last - 1);
  CHECK(message(world, {.model = world.rank() == last ? size : 1}) ==
        "mesh: model differs between the ranks: 1 on " + ranks + ", " + std::to_string(size) + " on rank " +
            std::to_string(last) + ": start all ranks with the same");
  CHECK(message(world, {.shard = world.rank() == last ? 0 : 1}).find("mesh: shard differs") == 0);
}

TEST_CASE("a shape that does not divide the job says which number to change, and to what") {
  Communicator const world(MPI_COMM_WORLD);
  if (world.size() == 4) {
    CHECK(message(world, {.model = 3}) ==
          "mesh: model = 3 does not divide the 4 ranks of the job: change model to 2, or start a job of 6 ranks");
    CHECK(message(world, {.model = 2, .shard = 3}) ==
          "mesh: shard = 3 does not divide the 2 ranks that the model axis leaves: change shard to 2, or start a job "
          "of 6 ranks");
    CHECK(message(world, {.model = 4, .shard = 2}).find("change shard to 1, or start a job of 8 ranks") !=
          std::string::npos);
  }
  CHECK(message(world, {.model = 0}) == "mesh: model = 0: give at least 1");
  CHECK(message(world, {.shard = -2}) == "mesh: shard = -2: give at least 1");
}
