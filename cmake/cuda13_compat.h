// Kokkos before 4.7.01 calls three functions of the CUDA runtime as CUDA 12 declares them. CUDA 13 takes a memory location
// where CUDA 12 took a device number, and edge data where it took none. These overloads accept the older calls.
// Force-include this header (-include) to compile such a Kokkos, and code that includes it, with CUDA 13.
#pragma once

#if defined(__CUDACC__) && defined(__cplusplus)
#include <cuda_runtime_api.h>

#if CUDART_VERSION >= 13000

namespace dchag_cuda13 {

inline cudaMemLocation memory_location(int device) {
  bool const host = device == cudaCpuDeviceId;
  cudaMemLocation where{};
  where.type = host ? cudaMemLocationTypeHost : cudaMemLocationTypeDevice;
  where.id = host ? 0 : device;
  return where;
}

}  // namespace dchag_cuda13

inline cudaError_t cudaMemAdvise(void const* address, size_t bytes, cudaMemoryAdvise advice, int device) {
  return cudaMemAdvise(address, bytes, advice, dchag_cuda13::memory_location(device));
}

inline cudaError_t cudaMemPrefetchAsync(void const* address, size_t bytes, int device, cudaStream_t stream = nullptr) {
  return cudaMemPrefetchAsync(address, bytes, dchag_cuda13::memory_location(device), 0u, stream);
}

inline cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, cudaGraphNode_t const* from, cudaGraphNode_t const* to,
                                            size_t edges) {
  return cudaGraphAddDependencies(graph, from, to, nullptr, edges);
}

#endif
#endif
