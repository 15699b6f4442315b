#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/parallel/communicator.hpp>
#include <string>
#include <utility>
#include <vector>

#include "space.hpp"

using dchag::Communicator;
using dchag::Phase;
using dchag::Traffic;
using dchag::tests::Space;

namespace {

using Buffer = Kokkos::View<float*, typename Space::device_type>;

Traffic all_reduces(dchag::Index calls, dchag::Index bytes) {
  Traffic traffic;
  traffic.all_reduce = {calls, bytes};
  return traffic;
}

}  // namespace

TEST_CASE("a verb counts for the innermost phase that it is called or started in, and once") {
  dchag::Workspace<Space> workspace(0);
  dchag::Context<Space> const context(workspace);
  Communicator const world(MPI_COMM_WORLD), copy = world;
  Buffer const values("values", 10), others("others", 10);
  CHECK(Phase::innermost().empty());
  world.all_reduce(context, values);
  {
    Phase const step("dchag::test::step");
    world.all_reduce(context, values);
    auto pending = [&] {
      Phase const block("dchag::test::block");
      CHECK(Phase::innermost() == "dchag::test::block");
      world.all_reduce(1.0);
      copy.broadcast(context, values);
      return world.start_all_reduce(context, others);
    }();
    CHECK(Phase::innermost() == "dchag::test::step");
    pending.wait(context);
    world.all_reduce(context, values);
    std::string const name = "dchag::test::block";  // a phase is its name, whatever the address
    Phase const again(name.c_str());
    world.barrier();
  }
  CHECK(Phase::innermost().empty());

  if (world.size() == 1) {
    CHECK(world.traffic_by_phase().empty());
    return;
  }
  Traffic block = all_reduces(2, 8 + 40), total = all_reduces(5, 4 * 40 + 8);
  block.broadcast = total.broadcast = {1, world.rank() == 0 ? 40 : 0};
  block.barrier = total.barrier = {1, 0};
  CHECK(world.traffic("") == all_reduces(1, 40));
  CHECK(world.traffic("dchag::test::step") == all_reduces(2, 80));
  CHECK(world.traffic("dchag::test::block") == block);
  CHECK(world.traffic("dchag::test::other") == Traffic{});
  CHECK(world.traffic() == total);
  std::vector<std::string> phases;
  for (auto const& [phase, traffic] : copy.traffic_by_phase()) phases.push_back(phase);
  CHECK(phases == std::vector<std::string>{"", "dchag::test::step", "dchag::test::block"});
  world.reset_traffic();
  CHECK(copy.traffic_by_phase().empty());
  CHECK(world.traffic("dchag::test::block") == Traffic{});
}

TEST_CASE("a phase is a region of Kokkos Tools, and ends with an exception") {
  static std::vector<std::string> regions;
  Kokkos::Tools::Experimental::set_push_region_callback([](char const* name) { regions.emplace_back(name); });
  try {
    Phase const phase("dchag::test::phase");
    dchag::fail("leaves the block");
  } catch (dchag::Error const&) {
    CHECK(Phase::innermost().empty());
  }
  Kokkos::Tools::Experimental::set_push_region_callback(nullptr);
  CHECK(regions == std::vector<std::string>{"dchag::test::phase"});
}

TEST_CASE("texts of any length are gathered, by rank, and counted") {
  Communicator const world(MPI_COMM_WORLD);
  int const rank = world.rank();
  auto const text = [](int of) {
    return std::string(static_cast<std::size_t>(3 * (of % 3)), static_cast<char>('a' + of));
  };
  auto const texts = world.all_gather(text(rank));
  REQUIRE(texts.size() == static_cast<std::size_t>(world.size()));
  for (int r = 0; r < world.size(); ++r) CHECK(texts[static_cast<std::size_t>(r)] == text(r));
  Traffic expected;
  if (world.size() > 1) expected.all_gather = {1, 3 * (rank % 3)};
  CHECK(world.traffic() == expected);
}
