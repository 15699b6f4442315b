#pragma once

#include <mpi.h>
#include <unistd.h>

#include <Kokkos_Timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <dchag/parallel/communicator.hpp>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <thread>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace dchag::benchmarks {

/// Seconds since the system started this process, its libraries' loading included; in steps of a hundredth.
inline double seconds_of_process() {
  std::ifstream file("/proc/self/stat");
  std::string skipped;
  std::getline(file, skipped, ')');  // the number and the name
  constexpr int fields_between = 19;
  for (int field = 0; field < fields_between; ++field) file >> skipped;
  double ticks = std::numeric_limits<double>::quiet_NaN();
  file >> ticks;
  std::timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) -
         ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// The largest resident memory of this process so far, in bytes.
inline double peak_resident_bytes() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (double kibibytes = 0; word == "VmHWM:" && file >> kibibytes) return 1024 * kibibytes;
  return std::numeric_limits<double>::quiet_NaN();
}

/// Gives back the threads of a pool that would spin for work; the next parallel region starts new ones.
inline void rest() {
#if defined(_OPENMP)
  omp_pause_resource_all(omp_pause_soft);
#endif
}

/// Whether rank 0 read another line; the other ranks sleep while it waits.
inline bool next_line(Communicator const& ranks) {
  int more = 0;
  if (ranks.rank() == 0) {
    std::string line;
    more = std::getline(std::cin, line) ? 1 : 0;
  }
  if (ranks.size() == 1) return more != 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return more != 0;
}

/// Serves one case to whoever times programs in turns. `make` answers an object with step(), held_bytes() and
/// passing_bytes() that has done its first step. After a second one, rank 0 prints
///
///     {"peer": "dchag", "case": ..., "ready_s": seconds from the start of the program to the end of the first step}
///
/// then {"seconds": t}, of the slowest rank, for every line read, after a step; and when no more lines come
///
///     {"peak_bytes": workspace and batch, "held_bytes": parameters, gradients, moments, "peak_resident_bytes": VmHWM}
///
/// of the rank that needs most. Between lines no processor is used. All ranks call it.
template <class Make>
void serve(Communicator const& ranks, std::string const& name, Make const& make) {
  auto const worst = [&](double value) { return ranks.size() == 1 ? value : ranks.all_reduce(value, Reduction::max); };
  auto run = make();
  double const ready = worst(seconds_of_process());
  run->step();
  bool const speaks = ranks.rank() == 0;
  if (speaks) {
    std::printf("{\"peer\": \"dchag\", \"case\": \"%s\", \"ready_s\": %.3f}\n", name.c_str(), ready);
    std::fflush(stdout);
  }
  for (rest(); next_line(ranks); rest()) {
    if (ranks.size() > 1) ranks.barrier();
    Kokkos::Timer const timer;
    run->step();
    double const seconds = worst(timer.seconds());
    if (speaks) std::printf("{\"seconds\": %.6f}\n", seconds);
    if (speaks) std::fflush(stdout);
  }
  double const passing = worst(static_cast<double>(run->passing_bytes())),
               held = worst(static_cast<double>(run->held_bytes())), resident = worst(peak_resident_bytes());
  if (speaks)
    std::printf("{\"peak_bytes\": %.0f, \"held_bytes\": %.0f, \"peak_resident_bytes\": %.0f}\n", passing, held,
                resident);
}

}  // namespace dchag::benchmarks
