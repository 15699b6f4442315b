#pragma once

#include <KokkosKernels_config.h>

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <dchag/core/error.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/linalg/rounded.hpp>
#include <ostream>
#include <type_traits>

// Kokkos Kernels has no products of bfloat16 and none of batches of matrices at one distance: the vendor's BLAS is
// called here, with the handle of Kokkos Kernels.
#if defined(KOKKOSKERNELS_ENABLE_TPL_CUBLAS) && defined(KOKKOS_ENABLE_CUDA)
#define DCHAG_LINALG_HAS_CUBLAS
#elif defined(KOKKOSKERNELS_ENABLE_TPL_ROCBLAS) && defined(KOKKOS_ENABLE_HIP)
#define DCHAG_LINALG_HAS_ROCBLAS
#endif
#if defined(DCHAG_LINALG_HAS_CUBLAS) || defined(DCHAG_LINALG_HAS_ROCBLAS)
#define DCHAG_LINALG_HAS_DEVICE_BLAS
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

/// What a call has the vendor's BLAS multiply: a row-major product is the column-major product of the transposes in
/// reverse order, so that B comes first.
template <class T, class U>
struct DeviceCall {
  BatchedProduct<T, U> const& of;
  Matrix<U const> a, b;
  Matrix<T> c;
  Index a_distance, b_distance, c_distance, each;

  DeviceCall(BatchedProduct<T, U> const& product, Calls const& calls, Index call)
      : of(product),
        a(of.a.at(call * calls.first)),
        b(of.b.at(call * calls.first)),
        c(of.c.at(call * calls.first)),
        a_distance(calls.distance(of.a, call)),
        b_distance(calls.distance(of.b, call)),
        c_distance(calls.distance(of.c, call)),
        each(calls.each) {}

  int rows() const { return static_cast<int>(of.columns()); }
  int columns() const { return static_cast<int>(of.rows()); }
  int inner() const { return static_cast<int>(of.inner()); }
  int count() const { return static_cast<int>(each); }
  template <class Number>
  static int stride(Matrix<Number> const& matrix) {
    return static_cast<int>(std::max<Index>(matrix.stride, 1));
  }
  friend std::ostream& operator<<(std::ostream& out, DeviceCall const& call) {
    return out << call.each << " products of " << call.of.rows() << " x " << call.of.inner() << " by "
               << call.of.inner() << " x " << call.of.columns();
  }
};

#if defined(DCHAG_LINALG_HAS_CUBLAS)

inline cublasHandle_t blas_handle(Kokkos::Cuda const&) {
  return KokkosBlas::Impl::CudaBlasSingleton::singleton().handle;
}
/// Null: the default stream.
inline cublasStatus_t set_stream(cublasHandle_t handle, Kokkos::Cuda const* space) {
  return cublasSetStream(handle, space == nullptr ? nullptr : space->cuda_stream());
}
template <class What>
void check(cublasStatus_t status, What const& what) {
  require(status == CUBLAS_STATUS_SUCCESS, "cuBLAS: ", what, ": ", cublasGetStatusString(status));
}

template <class T>
inline constexpr cudaDataType_t cublas_type = std::is_same_v<T, double>  ? CUDA_R_64F
                                              : std::is_same_v<T, float> ? CUDA_R_32F
                                                                         : CUDA_R_16BF;

template <class T, class U>
cublasStatus_t multiply(cublasHandle_t handle, DeviceCall<T, U> const& m) {
  constexpr cudaDataType_t in = cublas_type<U>, out = cublas_type<T>;
  constexpr cublasComputeType_t sums = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
  auto const op = [](Op of) { return of == Op::none ? CUBLAS_OP_N : CUBLAS_OP_T; };
  if (m.each == 1)
    return cublasGemmEx(handle, op(m.of.b_op), op(m.of.a_op), m.rows(), m.columns(), m.inner(), &m.of.alpha, m.b.data,
                        in, m.stride(m.b), m.a.data, in, m.stride(m.a), &m.of.beta, m.c.data, out, m.stride(m.c), sums,
                        CUBLAS_GEMM_DEFAULT);
  return cublasGemmStridedBatchedEx(handle, op(m.of.b_op), op(m.of.a_op), m.rows(), m.columns(), m.inner(), &m.of.alpha,
                                    m.b.data, in, m.stride(m.b), m.b_distance, m.a.data, in, m.stride(m.a),
                                    m.a_distance, &m.of.beta, m.c.data, out, m.stride(m.c), m.c_distance, m.count(),
                                    sums, CUBLAS_GEMM_DEFAULT);
}

#elif defined(DCHAG_LINALG_HAS_ROCBLAS)

inline rocblas_handle blas_handle(Kokkos::HIP const&) { return KokkosBlas::Impl::RocBlasSingleton::singleton().handle; }
/// Null: the default stream.
inline rocblas_status set_stream(rocblas_handle handle, Kokkos::HIP const* space) {
  return rocblas_set_stream(handle, space == nullptr ? nullptr : space->hip_stream());
}
template <class What>
void check(rocblas_status status, What const& what) {
  require(status == rocblas_status_success, "rocBLAS: ", what, ": ", rocblas_status_to_string(status));
}

template <class T>
inline constexpr rocblas_datatype rocblas_type = std::is_same_v<T, double>  ? rocblas_datatype_f64_r
                                                 : std::is_same_v<T, float> ? rocblas_datatype_f32_r
                                                                            : rocblas_datatype_bf16_r;

template <class T, class U>
rocblas_status multiply(rocblas_handle handle, DeviceCall<T, U> const& m) {
  constexpr rocblas_datatype in = rocblas_type<U>, out = rocblas_type<T>;
  auto const op = [](Op of) { return of == Op::none ? rocblas_operation_none : rocblas_operation_transpose; };
  if (m.each == 1)
    return rocblas_gemm_ex(handle, op(m.of.b_op), op(m.of.a_op), m.rows(), m.columns(), m.inner(), &m.of.alpha,
                           m.b.data, in, m.stride(m.b), m.a.data, in, m.stride(m.a), &m.of.beta, m.c.data, out,
                           m.stride(m.c), m.c.data, out, m.stride(m.c), out, rocblas_gemm_algo_standard, 0, 0);
  return rocblas_gemm_strided_batched_ex(
      handle, op(m.of.b_op), op(m.of.a_op), m.rows(), m.columns(), m.inner(), &m.of.alpha, m.b.data, in, m.stride(m.b),
      m.b_distance, m.a.data, in, m.stride(m.a), m.a_distance, &m.of.beta, m.c.data, out, m.stride(m.c), m.c_distance,
      m.c.data, out, m.stride(m.c), m.c_distance, m.count(), out, rocblas_gemm_algo_standard, 0, 0);
}

#endif

#if defined(DCHAG_LINALG_HAS_DEVICE_BLAS)
/// In the space's stream.
template <class Space, class T, class U>
void run(Space const& space, BatchedProduct<T, U> const& of, Calls const& calls) {
  auto const handle = blas_handle(space);
  check(set_stream(handle, &space), "the stream of products");
  for (Index call = 0; call < calls.count; ++call) {
    DeviceCall const products(of, calls, call);
    check(multiply(handle, products), products);
  }
  check(set_stream(handle, nullptr), "the stream of products");
}
#endif

}  // namespace dchag::linalg::detail
