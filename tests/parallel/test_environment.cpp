#include <doctest/doctest.h>
#include <mpi.h>

#include <Kokkos_Core.hpp>
#include <cstdlib>
#include <dchag/parallel/environment.hpp>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace {

// What is written to std::cerr while it lives.
struct Captured {
  std::ostringstream text;
  std::streambuf* before = std::cerr.rdbuf(text.rdbuf());
  ~Captured() { std::cerr.rdbuf(before); }
};

}  // namespace

TEST_CASE("an environment joins what the host program has started, and leaves it running") {
  {
    dchag::Environment const environment(MPI_COMM_WORLD);
    CHECK(environment.world().size() == 1);
    CHECK(environment.report().find("1 rank, ") == 0);
    CHECK(environment.report().find(Kokkos::DefaultExecutionSpace::name()) != std::string::npos);
  }
  int argc = 1;
  char name[] = "program";
  char* argv[] = {name, nullptr};
  { dchag::Environment const again(argc, argv); }
  CHECK(Kokkos::is_initialized());
  int finalized = 1;
  MPI_Finalized(&finalized);
  CHECK(finalized == 0);
}

TEST_CASE("a guarded body gives its exit status, and 1 with its message on stderr where it throws") {
  dchag::Environment const environment(MPI_COMM_WORLD);
  CHECK(environment.guard([] { return 7; }) == 7);
  CHECK(environment.guard([] {}) == 0);
  Captured const captured;
  CHECK(environment.guard([] { dchag::fail("patch = ", 3, " is odd"); }) == 1);
  CHECK(environment.guard([]() -> int { throw 5; }) == 1);
  CHECK(captured.text.str() == "dchag: rank 0: patch = 3 is odd\ndchag: rank 0: an exception of unknown type\n");
}

TEST_CASE("run gives main its environment and answers its status") {
  int argc = 1;
  char name[] = "program";
  char* argv[] = {name, nullptr};
  CHECK(dchag::run(argc, argv, [](dchag::Environment& environment) { return 40 + environment.world().size(); }) == 41);
  Captured const captured;
  CHECK(dchag::run(argc, argv, [](dchag::Environment&) { throw std::runtime_error("disk full"); }) == 1);
  CHECK(captured.text.str() == "dchag: rank 0: disk full\n");
}

TEST_CASE("DCHAG_GPU_AWARE_MPI decides where it is set, and is 0 or 1") {
  setenv("DCHAG_GPU_AWARE_MPI", "1", 1);
  CHECK(dchag::Environment(MPI_COMM_WORLD).gpu_aware());
  setenv("DCHAG_GPU_AWARE_MPI", "0", 1);
  CHECK_FALSE(dchag::Environment(MPI_COMM_WORLD).gpu_aware());
  setenv("DCHAG_GPU_AWARE_MPI", "yes", 1);
  CHECK_THROWS_WITH_AS(dchag::Environment(MPI_COMM_WORLD),
                       "environment: DCHAG_GPU_AWARE_MPI = \"yes\": set it to 0 or 1, or not at all", dchag::Error);
  int argc = 1;
  char name[] = "program";
  char* argv[] = {name, nullptr};
  {
    Captured const captured;
    CHECK(dchag::run(argc, argv, [](dchag::Environment&) {}) == 1);
    CHECK(captured.text.str().find("dchag: environment: DCHAG_GPU_AWARE_MPI") == 0);
  }
  unsetenv("DCHAG_GPU_AWARE_MPI");
}
