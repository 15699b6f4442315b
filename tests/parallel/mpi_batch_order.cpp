#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/io/batch_order.hpp>
#include <dchag/parallel/mesh.hpp>

using namespace dchag;

TEST_CASE("the replicas of any mesh share the order of one rank, and the model ranks of a replica have the same") {
  Communicator const world(MPI_COMM_WORLD);
  Index const batch = 4 * world.size(), images = 37;
  BatchOrder order(images, batch, 5);
  for (int model = 1; model <= world.size(); ++model)
    for (int shards = 1; shards <= world.size() / model; ++shards) {
      if (world.size() % model != 0 || world.size() / model % shards != 0) continue;
      Mesh const mesh(world, {.model = model, .shard = shards});
      for (Index step = 0; step < 5; ++step) {
        auto const all = order.part(step), share = order.part(step, mesh.replicas().rank(), mesh.replicas().size());
        REQUIRE(static_cast<Index>(share.size()) == batch / mesh.replicas().size());
        std::size_t const first = share.size() * static_cast<std::size_t>(world.rank() / model);
        for (std::size_t i = 0; i < share.size(); ++i) CHECK(share[i] == all[first + i]);
      }
    }
}
