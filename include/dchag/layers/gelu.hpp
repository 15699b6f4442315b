#pragma once

#include <dchag/core/math.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/linalg/reduce.hpp>
#include <type_traits>

namespace dchag::layers {

/// Distribution and density of the standard normal distribution: what GELU (erf form, Hendrycks and Gimpel, 2016) and
/// its derivative are made of.
template <class L>
struct Normal {
  L distribution, density;
};

namespace detail {

inline constexpr double density_at_zero = 0.39894228040143268;  // 1 / sqrt(2 pi)

/// For floats in registers of any width, given |x| and exp(-x^2/2): distribution(-|x|) = exp(-x^2/2) t p(t) with
/// t = 1 / (1 + 0.3 |x|), p the minimax polynomial of relative error 1.2e-7 for |x| <= 13, beyond which the result is
/// 0.
template <class L>
KOKKOS_FORCEINLINE_FUNCTION L rational_tail(L magnitude, L bell) {
  L const t = 1.0f / (magnitude * 0.3f + 1.0f);
  L p = t * 3.6194813711e-2f - 1.5937814730e-1f;
  p = p * t + 2.1011813375e-1f;
  p = p * t - 5.7167148094e-2f;
  p = p * t + 1.3041635077e-1f;
  p = p * t + 9.9347151636e-2f;
  p = p * t + 1.2084552641e-1f;
  p = p * t + 1.1962326286e-1f;
  return p * t * bell;
}

template <class L>
KOKKOS_FORCEINLINE_FUNCTION L absolute(L x) {
  return dchag::detail::same_bits<L>(dchag::detail::same_bits<dchag::detail::LaneBits<L>>(x) & 0x7fffffffu);
}

template <class L>
KOKKOS_FORCEINLINE_FUNCTION Normal<L> rational_normal(L x) {
  L const bell = dchag::detail::polynomial_exp_below(x * x * -0.5f), below = rational_tail(absolute(x), bell);
  return {x < 0.0f ? below : 1.0f - below, bell * static_cast<float>(density_at_zero)};
}

}  // namespace detail

/// For float on the host the absolute error of the distribution is at most 2.5e-7 (that of erf(x) = 2 distribution(x
/// sqrt(2)) - 1 twice as much), its relative error for negative x at most 2e-5, and that of the density,
/// absolute, 1.5e-7.
template <class T, class L>
KOKKOS_FORCEINLINE_FUNCTION Normal<L> lanes_normal(L x) {
  if constexpr (std::is_same_v<T, float> && vector_bytes > 0) {
    return detail::rational_normal(x);
  } else if constexpr (sizeof(L) == sizeof(T)) {
    return {T(0.5) * Kokkos::erfc(x * T(-0.70710678118654752)),
            Kokkos::exp(x * x * T(-0.5)) * T(detail::density_at_zero)};
  } else {
    Normal<L> result{x, x};
    for (int lane = 0; lane < static_cast<int>(sizeof(L) / sizeof(T)); ++lane) {
      auto const [distribution, density] = lanes_normal<T>(static_cast<T>(x[lane]));
      result.distribution[lane] = distribution;
      result.density[lane] = density;
    }
    return result;
  }
}

/// x distribution(x), as max(x, 0) - |x| distribution(-|x|) where that is had at once.
template <class T, class L>
KOKKOS_FORCEINLINE_FUNCTION L lanes_gelu(L x) {
  if constexpr (std::is_same_v<T, float> && vector_bytes > 0) {
    L const size = detail::absolute(x), above = x < 0.0f ? L{} : x;
    L const magnitude = size > 16.0f ? L{} + 16.0f : size;  // no infinity times zero
    return above - magnitude * detail::rational_tail(magnitude, dchag::detail::polynomial_exp_below(x * x * -0.5f));
  } else {
    return x * lanes_normal<T>(x).distribution;
  }
}

/// y = gelu(u), element by element; y may be u. [rows, columns]
template <class Space, class T>
void gelu(Context<Space> const& context, linalg::Matrix<T const> u, std::type_identity_t<linalg::Matrix<T>> y) {
  T const* from = u.data;
  T* to = y.data;
  Index const columns = u.columns, from_stride = u.stride, to_stride = y.stride;
  row_loop<T>(
      context, "dchag::gelu::forward", u.rows,
      KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
        row.each(columns, [&]<class L>(Index j) {
          T const* const in = from + r * from_stride + j;
          T* const out = to + r * to_stride + j;
          prefetch(in + fetch_distance<T>);
          prefetch_to_write(out + fetch_distance<T>);
          store(out, lanes_gelu<T>(load<L>(in)));
        });
      },
      moves<T>(2 * u.rows * columns, 30 * u.rows * columns));
}

/// dy becomes dy * gelu'(u), u becomes gelu(u), and the column sums of the new dy are added to bias_gradient [columns]:
/// all that the two linear layers around a GELU need, in one pass.
template <class Space, class T>
void gelu_backward(Context<Space> const& context, linalg::Matrix<T> u, linalg::Matrix<T> dy, T* bias_gradient) {
  T *const input = u.data, *const gradient = dy.data;
  Index const rows = u.rows, columns = u.columns, input_stride = u.stride, gradient_stride = dy.stride;
  constexpr Index rows_a_chunk = 16;
  Index const chunks = ceil_div(rows, rows_a_chunk);
  auto scope = context.workspace().scope();
  auto const partial = context.workspace().template push<T**>(chunks, columns);
  T* const sums = partial.data();
  row_loop<T>(
      context, "dchag::gelu::backward", chunks,
      KOKKOS_LAMBDA(Index chunk, Row<T, Space> const& row) {
        Index const end = Kokkos::min(rows, (chunk + 1) * rows_a_chunk);
        T* const sum = sums + chunk * columns;
        row.each(columns, [&]<class L>(Index j) { store(sum + j, L{}); });
        for (Index r = chunk * rows_a_chunk; r < end; ++r)
          row.each(columns, [&]<class L>(Index j) {
            T *const at = input + r * input_stride + j, *const slope = gradient + r * gradient_stride + j;
            prefetch_to_write(at + fetch_distance<T>);
            prefetch_to_write(slope + fetch_distance<T>);
            L const value = load<L>(at);
            Normal<L> const normal = lanes_normal<T>(value);
            L const result = load<L>(slope) * (normal.distribution + value * normal.density);
            store(at, value * normal.distribution);
            store(slope, result);
            store(sum + j, load<L>(sum + j) + result);
          });
      },
      moves<T>(4 * rows * columns, 35 * rows * columns));
  linalg::add_column_sums(context, linalg::Matrix<T>(partial), bias_gradient);
}

}  // namespace dchag::layers
