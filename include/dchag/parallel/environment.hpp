#pragma once

#include <Kokkos_Core.hpp>
#include <cstdlib>
#include <dchag/core/error.hpp>
#include <dchag/parallel/communicator.hpp>
#include <dchag/parallel/detail/gpu_aware.hpp>
#include <dchag/parallel/detail/mpi.hpp>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <type_traits>

namespace dchag {

/// MPI and Kokkos, running from here to the end of the block. What the host program has started is joined and left
/// running.
class Environment {
 public:
  /// Starts what does not run yet, with these arguments (Kokkos takes its own out of them). All ranks call it; where
  /// one of several ranks cannot start, it ends the job. A program that was not started by mpirun is a job of one rank.
  Environment(int& argc, char** argv) {
    if (!detail::mpi_initialized()) {
      int provided = MPI_THREAD_SINGLE;
      detail::check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
      started_mpi_ = true;
      require(provided >= MPI_THREAD_FUNNELED, "environment: this MPI does not work in a program with threads");
    }
    try {
      start(MPI_COMM_WORLD, [&] { Kokkos::initialize(argc, argv); });
    } catch (std::exception const& error) {
      end_start(error.what());
      throw;
    }
  }

  /// The ranks of an MPI communicator are the world; MPI must run. All of them call it.
  explicit Environment(MPI_Comm comm) {
    require(detail::mpi_initialized(), "environment: MPI does not run: start it, or use Environment(argc, argv)");
    start(comm, [] { Kokkos::initialize(); });
  }

  Environment(Environment const&) = delete;
  Environment& operator=(Environment const&) = delete;

  ~Environment() {
    bool const unwinding = std::uncaught_exceptions() > exceptions_;
    if (started_mpi_ && unwinding && world_.size() > 1)
      abort(world_.rank(), "an exception leaves the block of its environment");
    world_ = Communicator();
    if (started_kokkos_) Kokkos::finalize();
    if (started_mpi_) MPI_Finalize();
  }

  Communicator const& world() const { return world_; }

  /// Whether device pointers are handed to MPI. Decided once: DCHAG_GPU_AWARE_MPI=0 or 1 where set, else what MPI says.
  bool gpu_aware() const { return gpu_aware_; }

  /// One line: ranks, MPI library, execution space and its concurrency, and how memory of a device reaches MPI.
  std::string report() const {
    using Space = Kokkos::DefaultExecutionSpace;
    std::ostringstream line;
    line << world_.size() << (world_.size() == 1 ? " rank, " : " ranks, ") << detail::mpi_library() << ", "
         << Space::name() << " x " << Space().concurrency();
    if (!on_host<Space>) line << (gpu_aware_ ? ", device memory handed to MPI" : ", device memory staged for MPI");
    return line.str();
  }

  /// Runs body(): answers its exit status, 0 where it has none. An exception is reported on stderr with the rank; it
  /// ends the job where there are several ranks, so that none waits for this one, and is exit status 1 on one rank.
  template <class Body>
  int guard(Body&& body) const {
    try {
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
        return EXIT_SUCCESS;
      } else {
        return body();
      }
    } catch (std::exception const& error) {
      report_failure(error.what());
    } catch (...) {
      report_failure("an exception of unknown type");
    }
    return EXIT_FAILURE;
  }

 private:
  template <class Start>
  void start(MPI_Comm comm, Start const& start_kokkos) {
    gpu_aware_ = detail::gpu_aware_mpi();
    world_ = Communicator(comm, gpu_aware_ ? Staging::never : Staging::device);
    if (Kokkos::is_initialized()) return;
    require(!Kokkos::is_finalized(),
            "environment: Kokkos was finalized before, and cannot be started twice in a program");
    start_kokkos();
    started_kokkos_ = true;
  }

  /// MPI has been started and there will be no environment to end it.
  void end_start(std::string const& message) {
    if (!started_mpi_) return;
    int ranks = 1, rank = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (ranks > 1) abort(rank, message);
    world_ = Communicator();
    MPI_Finalize();
  }

  void report_failure(std::string const& message) const {
    if (world_.size() > 1) abort(world_.rank(), message);
    std::cerr << "dchag: rank 0: " + message + "\n" << std::flush;
  }

  static void abort(int rank, std::string const& message) {
    std::cerr << "dchag: rank " + std::to_string(rank) + ": " + message + "\n" << std::flush;
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  }

  Communicator world_;
  int exceptions_ = std::uncaught_exceptions();
  bool gpu_aware_ = false, started_mpi_ = false, started_kokkos_ = false;
};

/// A whole program: an environment, and main(environment) guarded in it. Answers what main() is to return.
///
///     int main(int argc, char** argv) {
///       return dchag::run(argc, argv, [&](dchag::Environment& environment) { ... });
///     }
template <class Main>
int run(int& argc, char** argv, Main&& main) {
  try {
    Environment environment(argc, argv);
    return environment.guard([&] { return main(environment); });
  } catch (std::exception const& error) {
    std::cerr << std::string("dchag: ") + error.what() + "\n" << std::flush;
    return EXIT_FAILURE;
  }
}

}  // namespace dchag
