// program report              prints the environment that it starts
// program throw RANK [WHERE]  that rank throws in a guarded main; the others wait for it in a verb: barrier (where none
//                             is named), all_reduce, started (what they have started), split or mesh
// program escape RANK         that rank's exception leaves the block of its environment, unguarded; the others wait
// program differ RANK         that rank is started with another number of channels
// program join WHAT           a host program that has started mpi, kokkos or both, and goes on after the environment
// program part                the environment of all ranks but the last, of a host program that has started MPI
#include <cstdlib>
#include <dchag/parallel/agreement.hpp>
#include <dchag/parallel/environment.hpp>
#include <dchag/parallel/mesh.hpp>
#include <iostream>
#include <string>
#include <string_view>

namespace {

using Space = Kokkos::DefaultExecutionSpace;

void wait_in(std::string_view verb, dchag::Communicator const& world) {
  dchag::Workspace<Space> workspace(0);
  dchag::Context<Space> const context(workspace);
  Kokkos::View<double*, Space::device_type> const values("values", 100000);
  if (verb == "barrier") world.barrier();
  if (verb == "all_reduce") world.all_reduce(context, values);
  if (verb == "started") world.start_all_reduce(context, values).wait(context);
  if (verb == "split") world.split(0, 0);
  if (verb == "mesh") dchag::Mesh(world, {.model = world.size()});
}

void fail_on(int rank, std::string_view verb, dchag::Communicator const& world) {
  if (world.rank() != rank) return wait_in(verb, world);
  dchag::Workspace<Space> workspace(0);
  dchag::Context<Space> const context(workspace);
  Kokkos::View<double*, Space::device_type> const values("values", 100000);
  dchag::Pending<Space> pending;
  if (verb == "started") pending = world.start_all_reduce(context, values);
  dchag::fail("channels.npy: no such file");
}

void differ_on(int rank, dchag::Communicator const& world) {
  dchag::check_same(world, "forecaster", {{"embed", 512}, {"channels", world.rank() == rank ? 81 : 80}});
  std::cout << "nobody has found it\n";
}

int run_in(dchag::Environment const& environment) {
  int const size = environment.world().size();
  return environment.guard([&] {
    dchag::require(environment.world().all_reduce(1) == size && Kokkos::is_initialized(),
                   "the environment is not whole");
    if (environment.world().rank() == 0) std::cout << "joined by " << environment.report() << '\n';
  });
}

int join(std::string_view what, int argc, char** argv) {
  bool const mpi = what != "kokkos", kokkos = what != "mpi";
  if (mpi) MPI_Init(&argc, &argv);
  if (kokkos) Kokkos::initialize(argc, argv);
  int status = run_in(dchag::Environment(argc, argv));
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (mpi != (finalized == 0) || kokkos != Kokkos::is_initialized()) status = EXIT_FAILURE;
  if (kokkos) Kokkos::finalize();
  if (mpi) MPI_Finalize();
  return status;
}

int part(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm some = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank == size - 1 ? MPI_UNDEFINED : 0, rank, &some);
  int status = EXIT_SUCCESS;
  if (some != MPI_COMM_NULL) {
    status = run_in(dchag::Environment(some));
    MPI_Comm_free(&some);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view const what = argc > 1 ? argv[1] : "report";
  std::string_view const where = argc > 3 ? argv[3] : "barrier";
  if (what == "join") return join(argv[2], argc, argv);
  if (what == "part") return part(argc, argv);
  int const rank = argc > 2 ? std::atoi(argv[2]) : 0;
  if (what == "throw")
    return dchag::run(argc, argv, [&](dchag::Environment& all) { fail_on(rank, where, all.world()); });
  if (what == "differ") return dchag::run(argc, argv, [&](dchag::Environment& all) { differ_on(rank, all.world()); });
  try {
    dchag::Environment environment(argc, argv);
    if (what == "escape") fail_on(rank, where, environment.world());
    if (environment.world().rank() == 0) std::cout << environment.report() << '\n';
  } catch (std::exception const& error) {
    std::cerr << "caught after the environment: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
  return Kokkos::is_finalized() ? EXIT_SUCCESS : EXIT_FAILURE;
}
