#pragma once

#include <KokkosKernels_config.h>

#include <Kokkos_Core.hpp>
#include <dchag/core/error.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/linalg/rounded.hpp>
#include <memory>
#include <sstream>
#include <type_traits>

// Kokkos Kernels has no products of bfloat16 and none of batches of matrices at one distance: the vendor's BLAS is
// called here, with the handle of Kokkos Kernels.
#if defined(KOKKOSKERNELS_ENABLE_TPL_CUBLAS) && defined(KOKKOS_ENABLE_CUDA)
#define DCHAG_LINALG_HAS_CUBLAS
#elif defined(KOKKOSKERNELS_ENABLE_TPL_ROCBLAS) && defined(KOKKOS_ENABLE_HIP)
#define DCHAG_LINALG_HAS_ROCBLAS
#endif
#if defined(DCHAG_LINALG_HAS_CUBLAS) || defined(DCHAG_LINALG_HAS_ROCBLAS)
#include <KokkosBlas_tpl_spec.hpp>
#endif

namespace dchag::linalg::detail {

#if defined(DCHAG_LINALG_HAS_CUBLAS)
template <class Space>
inline constexpr bool has_device_blas = std::is_same_v<Space, Kokkos::Cuda>;
#elif defined(DCHAG_LINALG_HAS_ROCBLAS)
template <class Space>
inline constexpr bool has_device_blas = std::is_same_v<Space, Kokkos::HIP>;
#else
template <class Space>
inline constexpr bool has_device_blas = false;
#endif

/// C_i = alpha op(A_i) op(B_i) + beta C_i, of operands that are held as U.
template <class T, class U>
struct BatchedProduct {
  Op a_op, b_op;
  T alpha;
  Batch<U const> a, b;
  T beta;
  Batch<T> c;

  Index rows() const { return c.first.rows; }
  Index columns() const { return c.first.columns; }
  Index inner() const { return a_op == Op::none ? a.first.columns : a.first.rows; }
};

/// The calls that products of batches take, each of matrices at one distance: call i has those of numbers
/// i * first + j * step for j in [0, each).
struct Calls {
  Index count = 1, each = 1, first = 1, step = 1;

  template <class T, class U>
  explicit Calls(BatchedProduct<T, U> const& of) : each(of.c.count()), first(each) {
    Index outer = 1, inner = each;
    bool alike = true;
    auto const consider = [&](auto const& batch) {
      if (batch.outer == 1 || batch.inner == 1 || batch.outer_stride == batch.inner * batch.inner_stride) return;
      alike = alike && (outer == 1 || outer == batch.outer);
      outer = batch.outer;
      inner = batch.inner;
    };
    consider(of.a);
    consider(of.b);
    consider(of.c);
    if (outer == 1) return;
    if (!alike) {
      count = each;
      each = first = 1;
    } else if (inner >= outer) {
      count = outer;
      each = first = inner;
    } else {
      count = step = inner;
      each = outer;
      first = 1;
    }
  }

  /// The distance of the matrices of call number `call`.
  template <class T>
  Index distance(Batch<T> const& batch, Index call) const {
    return each == 1 ? 0 : batch.at(call * first + step).data - batch.at(call * first).data;
  }
};

#if defined(DCHAG_LINALG_HAS_CUBLAS)

inline void check_cublas(cublasStatus_t status) {
  require(status == CUBLAS_STATUS_SUCCESS, "cuBLAS: a product failed: ", cublasGetStatusString(status));
}

template <class T>
inline constexpr cudaDataType_t cublas_type = std::is_same_v<T, double>  ? CUDA_R_64F
                                              : std::is_same_v<T, float> ? CUDA_R_32F
                                                                         : CUDA_R_16BF;

/// A row-major product is the column-major product of the transposes in reverse order.
template <class T, class U>
void run(Kokkos::Cuda const& space, BatchedProduct<T, U> const& of, Calls const& calls) {
  constexpr cudaDataType_t in = cublas_type<U>, out = cublas_type<T>;
  constexpr cublasComputeType_t sums = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  auto const narrow = [](Index value) { return static_cast<int>(value); };
  auto const stride = [](auto const& matrix) { return static_cast<int>(matrix.stride > 0 ? matrix.stride : 1); };
  auto const transposed = [](Op op) { return op == Op::none ? CUBLAS_OP_N : CUBLAS_OP_T; };
  cublasHandle_t const handle = KokkosBlas::Impl::CudaBlasSingleton::singleton().handle;
  check_cublas(cublasSetStream(handle, space.cuda_stream()));
  for (Index call = 0; call < calls.count; ++call) {
    Matrix<U const> const a = of.a.at(call * calls.first), b = of.b.at(call * calls.first);
    Matrix<T> const c = of.c.at(call * calls.first);
    if (calls.each == 1)
      check_cublas(cublasGemmEx(handle, transposed(of.b_op), transposed(of.a_op), narrow(of.columns()),
                                narrow(of.rows()), narrow(of.inner()), &of.alpha, b.data, in, stride(b), a.data, in,
                                stride(a), &of.beta, c.data, out, stride(c), sums, CUBLAS_GEMM_DEFAULT));
    else
      check_cublas(cublasGemmStridedBatchedEx(
          handle, transposed(of.b_op), transposed(of.a_op), narrow(of.columns()), narrow(of.rows()), narrow(of.inner()),
          &of.alpha, b.data, in, stride(b), calls.distance(of.b, call), a.data, in, stride(a),
          calls.distance(of.a, call), &of.beta, c.data, out, stride(c), calls.distance(of.c, call), narrow(calls.each),
          sums, CUBLAS_GEMM_DEFAULT));
  }
  check_cublas(cublasSetStream(handle, nullptr));
}

#elif defined(DCHAG_LINALG_HAS_ROCBLAS)

inline void check_rocblas(rocblas_status status) {
  require(status == rocblas_status_success, "rocBLAS: a product failed: ", rocblas_status_to_string(status));
}

template <class T>
inline constexpr rocblas_datatype rocblas_type = std::is_same_v<T, double>  ? rocblas_datatype_f64_r
                                                 : std::is_same_v<T, float> ? rocblas_datatype_f32_r
                                                                            : rocblas_datatype_bf16_r;

/// A row-major product is the column-major product of the transposes in reverse order.
template <class T, class U>
void run(Kokkos::HIP const& space, BatchedProduct<T, U> const& of, Calls const& calls) {
  constexpr rocblas_datatype in = rocblas_type<U>, out = rocblas_type<T>;
  auto const narrow = [](Index value) { return static_cast<rocblas_int>(value); };
  auto const stride = [](auto const& matrix) {
    return static_cast<rocblas_int>(matrix.stride > 0 ? matrix.stride : 1);
  };
  auto const transposed = [](Op op) { return op == Op::none ? rocblas_operation_none : rocblas_operation_transpose; };
  rocblas_handle const handle = KokkosBlas::Impl::RocBlasSingleton::singleton().handle;
  check_rocblas(rocblas_set_stream(handle, space.hip_stream()));
  for (Index call = 0; call < calls.count; ++call) {
    Matrix<U const> const a = of.a.at(call * calls.first), b = of.b.at(call * calls.first);
    Matrix<T> const c = of.c.at(call * calls.first);
    if (calls.each == 1)
      check_rocblas(rocblas_gemm_ex(handle, transposed(of.b_op), transposed(of.a_op), narrow(of.columns()),
                                    narrow(of.rows()), narrow(of.inner()), &of.alpha, b.data, in, stride(b), a.data, in,
                                    stride(a), &of.beta, c.data, out, stride(c), c.data, out, stride(c), out,
                                    rocblas_gemm_algo_standard, 0, 0));
    else
      check_rocblas(rocblas_gemm_strided_batched_ex(
          handle, transposed(of.b_op), transposed(of.a_op), narrow(of.columns()), narrow(of.rows()), narrow(of.inner()),
          &of.alpha, b.data, in, stride(b), calls.distance(of.b, call), a.data, in, stride(a),
          calls.distance(of.a, call), &of.beta, c.data, out, stride(c), calls.distance(of.c, call), c.data, out,
          stride(c), calls.distance(of.c, call), narrow(calls.each), out, rocblas_gemm_algo_standard, 0, 0));
  }
  check_rocblas(rocblas_set_stream(handle, nullptr));
}

#endif

}  // namespace dchag::linalg::detail
