#pragma once

// The C interface alone: the C++ bindings that some MPI libraries still carry are neither needed nor free of warnings.
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <string_view>
#include <type_traits>

namespace dchag::detail {

/// Throws Error with MPI's own message where a call did not succeed.
inline void check_mpi(int code, char const* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail(call, ": ", std::string_view(text.data(), static_cast<std::size_t>(length)));
}

inline bool mpi_initialized() {
  int flag = 0;
  MPI_Initialized(&flag);
  return flag != 0;
}

inline bool mpi_finalized() {
  int flag = 0;
  MPI_Finalized(&flag);
  return flag != 0;
}

template <class T>
concept MpiNumber = std::same_as<T, float> || std::same_as<T, double> ||(std::integral<T> && !std::same_as<T, bool>);

template <MpiNumber T>
MPI_Datatype mpi_type() {
  if constexpr (std::same_as<T, float>)
    return MPI_FLOAT;
  else if constexpr (std::same_as<T, double>)
    return MPI_DOUBLE;
  else if constexpr (sizeof(T) == 1)
    return std::signed_integral<T> ? MPI_INT8_T : MPI_UINT8_T;
  else if constexpr (sizeof(T) == 2)
    return std::signed_integral<T> ? MPI_INT16_T : MPI_UINT16_T;
  else if constexpr (sizeof(T) == 4)
    return std::signed_integral<T> ? MPI_INT32_T : MPI_UINT32_T;
  else
    return std::signed_integral<T> ? MPI_INT64_T : MPI_UINT64_T;
}

}  // namespace dchag::detail
