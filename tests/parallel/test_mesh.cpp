#include <doctest/doctest.h>

#include <dchag/parallel/mesh.hpp>
#include <string>

TEST_CASE("a mesh of one rank needs no communicator") {
  dchag::Mesh const mesh;
  for (auto const* axis : {&mesh.world(), &mesh.model(), &mesh.shard(), &mesh.data(), &mesh.replicas()}) {
    CHECK(axis->size() == 1);
    CHECK(axis->rank() == 0);
  }
  dchag::Mesh const same(dchag::Communicator(), {.model = 1, .shard = 1});
  CHECK(same.replicas().size() == 1);
}

TEST_CASE("one rank cannot be divided") {
  try {
    dchag::Mesh const mesh(dchag::Communicator(), {.model = 4});
    FAIL("a mesh of 4 model ranks was made of one rank");
  } catch (dchag::Error const& error) {
    CHECK(std::string(error.what()) ==
          "mesh: model = 4 does not divide the 1 ranks of the job: change model to 1, or start a job of 4 ranks");
  }
}
