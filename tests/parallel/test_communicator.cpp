#include <doctest/doctest.h>
#include <mpi.h>

#include <dchag/parallel/communicator.hpp>

#include "space.hpp"

using dchag::tests::Space;

TEST_CASE("one rank: a verb is the identity, counts nothing and calls no MPI") {
  dchag::Workspace<Space> workspace(0);
  dchag::Context<Space> const context(workspace);
  for (auto const& self : {dchag::Communicator(), dchag::Communicator(MPI_COMM_SELF)}) {
    Kokkos::View<float*, typename Space::device_type> const values("values", 3), other("other", 3);
    Kokkos::deep_copy(values, 2.f);
    self.all_reduce(context, values);
    self.broadcast(context, values);
    self.all_gather(context, values, values);
    self.all_to_all(context, values, other);
    auto const copied = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), other);
    CHECK(copied(2) == 2.f);
    Kokkos::deep_copy(values, 3.f);
    self.reduce_scatter(context, values, other);
    CHECK(Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), other)(0) == 3.f);
    CHECK(self.all_reduce(7.5) == 7.5);
    self.barrier();
    CHECK(self.rank() == 0);
    CHECK(self.size() == 1);
    CHECK(self.split(3, 1).size() == 1);
    CHECK(self.traffic().calls() == 0);
    self.reset_traffic();
    CHECK_THROWS_AS(self.broadcast(context, values, 1), dchag::Error);
  }
}
