#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/training/batch_order.hpp>
#include <vector>

#include "io/scratch.hpp"

using namespace dchag;

TEST_CASE("the replicas of any mesh share the order of one rank, and the model ranks of a replica have the same") {
  Communicator const world(MPI_COMM_WORLD);
  Index const batch = 4 * world.size(), images = 37;
  BatchOrder whole(images, batch, 5);
  for (int model = 1; model <= world.size(); ++model)
    for (int shards = 1; shards <= world.size() / model; ++shards) {
      if (world.size() % model != 0 || world.size() / model % shards != 0) continue;
      Mesh const mesh(world, {.model = model, .shard = shards});
      BatchOrder own(images, batch, 5, mesh);
      for (Index step = 0; step < 5; ++step) {
        auto const all = whole(step), share = own(step);
        REQUIRE(static_cast<Index>(share.size()) == batch / mesh.replicas().size());
        std::size_t const first = share.size() * static_cast<std::size_t>(world.rank() / model);
        for (std::size_t i = 0; i < share.size(); ++i) CHECK(share[i] == all[first + i]);
      }
    }
}

TEST_CASE("replicas that do not divide a batch are told which one they do") {
  Mesh const mesh{Communicator(MPI_COMM_WORLD)};
  Index const ranks = mesh.replicas().size();
  if (ranks == 1) return;
  CHECK(tests::error_of([&] { BatchOrder(10, ranks + 1, 1, mesh); }) ==
        "batch order: " + std::to_string(ranks) + " replicas do not divide a batch of " + std::to_string(ranks + 1) +
            " images: choose " + std::to_string(2 * ranks));
}
