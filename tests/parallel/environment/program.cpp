// program report        prints the environment that it starts
// program throw RANK    that rank throws in a guarded main; the others wait for it
// program escape RANK   that rank's exception leaves the block of its environment, unguarded; the others wait for it
#include <cstdlib>
#include <dchag/parallel/environment.hpp>
#include <dchag/parallel/mesh.hpp>
#include <iostream>
#include <string_view>

namespace {

void fail_on(int rank, dchag::Environment const& environment) {
  dchag::Mesh const mesh(environment.world());
  if (environment.world().rank() == rank) dchag::fail("channels.npy: no such file");
  mesh.world().barrier();
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view const what = argc > 1 ? argv[1] : "report";
  int const rank = argc > 2 ? std::atoi(argv[2]) : 0;
  if (what == "throw")
    return dchag::run(argc, argv, [&](dchag::Environment& environment) { fail_on(rank, environment); });
  try {
    dchag::Environment environment(argc, argv);
    if (what == "escape") fail_on(rank, environment);
    if (environment.world().rank() == 0) std::cout << environment.report() << '\n';
  } catch (std::exception const& error) {
    std::cerr << "caught after the environment: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
  return Kokkos::is_finalized() ? EXIT_SUCCESS : EXIT_FAILURE;
}
