// The main program of every test: MPI and Kokkos run while doctest does. Ranks other than 0 print only what fails.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <mpi.h>

#include <Kokkos_Core.hpp>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>

// MPI leaks: what it allocates to start is not counted, and leaks are looked for before it ends, while its libraries
// can be told by name.
extern "C" char const* __asan_default_options() { return "leak_check_at_exit=0"; }
extern "C" char const* __lsan_default_suppressions() {
  return "leak:libmpi\nleak:libopen-\nleak:mca_\nleak:libpmix\nleak:hwloc\n";
}
#else
namespace __lsan {
struct ScopedDisabler {};
}  // namespace __lsan
int __lsan_do_recoverable_leak_check() { return 0; }
#endif

int main(int argc, char** argv) {
  {
    [[maybe_unused]] __lsan::ScopedDisabler const ignore_leaks;
    MPI_Init(&argc, &argv);
  }
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  int result = 1;
  {
    Kokkos::ScopeGuard const kokkos(argc, argv);
    doctest::Context context;
    context.setOption("minimal", rank != 0);
    context.setOption("no-intro", true);
    context.applyCommandLine(argc, argv);
    result = context.run();
    if (__lsan_do_recoverable_leak_check() != 0) result = 1;
  }
  MPI_Finalize();
  return result;
}
