#pragma once

#include <Kokkos_Macros.hpp>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <dchag/core/error.hpp>
#include <dchag/parallel/detail/mpi.hpp>
#include <string>
#include <string_view>

#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

namespace dchag::detail {

/// What the MPI library says of itself: Open MPI by its extensions, MPICH 4 by its own query, Cray MPICH by the
/// variable that turns it on.
inline bool mpi_says_gpu_aware() {
#if defined(KOKKOS_ENABLE_CUDA) && defined(OMPI_HAVE_MPI_EXT_CUDA)
  if (MPIX_Query_cuda_support() == 1) return true;
#endif
#if defined(KOKKOS_ENABLE_HIP) && defined(OMPI_HAVE_MPI_EXT_ROCM)
  if (MPIX_Query_rocm_support() == 1) return true;
#endif
#if defined(MPIX_GPU_SUPPORT_CUDA)
  int supported = 0;
#if defined(KOKKOS_ENABLE_CUDA)
  MPIX_GPU_query_support(MPIX_GPU_SUPPORT_CUDA, &supported);
#elif defined(KOKKOS_ENABLE_HIP)
  MPIX_GPU_query_support(MPIX_GPU_SUPPORT_HIP, &supported);
#endif
  if (supported != 0) return true;
#endif
  char const* cray = std::getenv("MPICH_GPU_SUPPORT_ENABLED");
  return cray != nullptr && std::string_view(cray) == "1";
}

/// DCHAG_GPU_AWARE_MPI=0 or 1 where set, else what MPI says. Throws where the variable is neither.
inline bool gpu_aware_mpi() {
  char const* chosen = std::getenv("DCHAG_GPU_AWARE_MPI");
  if (chosen == nullptr) return mpi_says_gpu_aware();
  std::string_view const value(chosen);
  require(value == "0" || value == "1", "environment: DCHAG_GPU_AWARE_MPI = \"", value,
          "\": set it to 0 or 1, or not at all");
  return value == "1";
}

/// The first line of the library's own version, up to the first comma.
inline std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  std::string_view const all(text.data(), static_cast<std::size_t>(length));
  return std::string(all.substr(0, all.find_first_of(",\n")));
}

}  // namespace dchag::detail
