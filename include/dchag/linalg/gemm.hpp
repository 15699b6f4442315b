#pragma once

#include <KokkosKernels_config.h>

#include <algorithm>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/pieces.hpp>
#include <dchag/linalg/detail/device_blas.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/linalg/narrow_product.hpp>
#include <dchag/linalg/panel_product.hpp>
#include <dchag/linalg/rounded.hpp>
#include <limits>
#include <type_traits>

// Host products are narrow or panel products of our own where these are faster; else they go to the BLAS that Kokkos
// Kernels was built with, one call a thread inside a parallel loop. Device products go to the vendor's BLAS, a batch at
// a time; where either is missing, through KokkosBlas::gemm. Only the headers
// that are needed are included: they compile slowly.
#if defined(KOKKOSKERNELS_ENABLE_TPL_BLAS)
#include <KokkosBlas_Host_tpl.hpp>
#endif
#if !defined(KOKKOSKERNELS_ENABLE_TPL_BLAS) ||                                                     \
    ((defined(KOKKOS_ENABLE_CUDA) || defined(KOKKOS_ENABLE_HIP) || defined(KOKKOS_ENABLE_SYCL)) && \
     !defined(DCHAG_LINALG_HAS_DEVICE_BLAS))
#define DCHAG_LINALG_NEEDS_KOKKOSBLAS
#include <KokkosBlas3_gemm.hpp>
#endif

namespace dchag::linalg {

namespace detail {

#if defined(KOKKOSKERNELS_ENABLE_TPL_BLAS)
template <class Space>
inline constexpr bool calls_host_blas = on_host<Space>;
#else
template <class Space>
inline constexpr bool calls_host_blas = false;
#endif

template <class U, class T>
void check_product(Op a_op, Op b_op, Matrix<U const> const& a, Matrix<U const> const& b, Matrix<T> const& c) {
  Index const rows = a_op == Op::none ? a.rows : a.columns, inner = a_op == Op::none ? a.columns : a.rows;
  Index const inner_b = b_op == Op::none ? b.rows : b.columns, columns = b_op == Op::none ? b.columns : b.rows;
  require(rows == c.rows && columns == c.columns && inner == inner_b, "gemm: op(A) is ", rows, " x ", inner,
          " and op(B) ", inner_b, " x ", columns, ", which does not give C of ", c.rows, " x ", c.columns);
  Index const largest = std::max({rows, inner, columns, a.stride, b.stride, c.stride});
  require(largest <= std::numeric_limits<int>::max(), "gemm: an extent or stride of ", largest,
          " does not fit the 32-bit integers of BLAS: use smaller batches or tiles");
}

/// One product on the calling thread (host BLAS decides by itself whether to use more threads). A row-major product is
/// the column-major product of the transposes in reverse order.
template <class Space, class T>
void product([[maybe_unused]] Space const& space, Op a_op, Op b_op, T alpha, Matrix<T const> a, Matrix<T const> b,
             T beta, Matrix<T> c) {
  Index const inner = a_op == Op::none ? a.columns : a.rows;
  if constexpr (calls_host_blas<Space>) {
#if defined(KOKKOSKERNELS_ENABLE_TPL_BLAS)
    if (prefers_narrow_product<T>(a_op, b_op, c.rows, inner, c.columns))
      return NarrowProduct<T>{inner, alpha, beta, a, b, c}();
    if constexpr (has_panel_product)
      if (prefers_panel_product<T>(b_op, c.rows, inner, c.columns))
        return panel_product<T>(a_op, b_op, alpha, a, b, beta, c);
    auto const narrow = [](Index value) { return static_cast<int>(std::max<Index>(value, 1)); };
    KokkosBlas::Impl::HostBlas<T>::gemm(b_op == Op::none ? 'N' : 'T', a_op == Op::none ? 'N' : 'T',
                                        static_cast<int>(c.columns), static_cast<int>(c.rows), static_cast<int>(inner),
                                        alpha, b.data, narrow(b.stride), a.data, narrow(a.stride), beta, c.data,
                                        narrow(c.stride));
#endif
  }
#if defined(DCHAG_LINALG_NEEDS_KOKKOSBLAS)
  else {
    if (c.columns == 1 && (b.stride != 1 || c.stride != 1)) {  // KokkosBlas' one-column path ignores these strides
      T const *left = a.data, *right = b.data;
      T* out = c.data;
      Index const row_step = a_op == Op::none ? a.stride : 1, column_step = a_op == Op::none ? 1 : a.stride;
      Index const right_step = b_op == Op::none ? b.stride : 1, out_step = c.stride;
      for_each(
          space, "dchag::gemm::one_column", c.rows, KOKKOS_LAMBDA(Index row) {
            T total = 0;
            for (Index k = 0; k < inner; ++k) total += left[row * row_step + k * column_step] * right[k * right_step];
            out[row * out_step] = alpha * total + (beta == T{0} ? T{0} : beta * out[row * out_step]);
          });
      return;
    }
    auto const view = [](auto const& m) {
      using Element = std::remove_pointer_t<decltype(m.data)>;
      View<Element**, Space> whole(m.data, static_cast<std::size_t>(m.rows), static_cast<std::size_t>(m.stride));
      return View<Element**, Space>(Kokkos::subview(whole, Kokkos::ALL, std::pair<Index, Index>(0, m.columns)));
    };
    KokkosBlas::gemm(space, a_op == Op::none ? "N" : "T", b_op == Op::none ? "N" : "T", alpha, view(a), view(b), beta,
                     view(c));
  }
#endif
}

/// Whether products go, or in a step that is planned for a device would go, to the vendor's BLAS of a device.
template <class Space>
bool calls_device_blas(Context<Space> const& context) {
  return has_device_blas<Space> || (on_host<Space> && context.dry() && !Pieces::of<Space>().host);
}

/// Whether the context runs nothing; its Work has been told of these products then.
template <class Space, class T>
bool tells(Context<Space> const& context, BatchedProduct<T, T> const& of) {
  if (!context.dry()) return false;
  Index const count = of.c.count(), rows = of.rows(), inner = of.inner(), columns = of.columns();
  if (context.work() != nullptr && count * rows * inner * columns > 0)
    context.work()->product(count, rows, inner, columns, sizeof(T),
                            calls_device_blas(context) ? Calls(of).count : count);
  return true;
}

/// Products where threads do not call a BLAS of their own: on a device, or a host without one.
template <class Space, class T>
void device_products(Space const& space, BatchedProduct<T, T> const& of) {
  if constexpr (has_device_blas<Space>)
    run(space, of, Calls(of));
  else
    for (Index i = 0; i < of.c.count(); ++i)
      product<Space, T>(space, of.a_op, of.b_op, of.alpha, of.a.at(i), of.b.at(i), of.beta, of.c.at(i));
}

/// One block of a product: some rows and columns of C, and of the operands that go with them.
template <class T>
struct Block {
  Matrix<T const> a, b;
  Matrix<T> c;

  void take_rows(Op a_op, Index first, Index count) {
    c = c.rows_at(first, count);
    a = a_op == Op::none ? a.rows_at(first, count) : a.columns_at(first, count);
  }
  void take_columns(Op b_op, Index first, Index count) {
    c = c.columns_at(first, count);
    b = b_op == Op::none ? b.columns_at(first, count) : b.rows_at(first, count);
  }
  bool empty() const { return c.rows == 0 || c.columns == 0; }
};

/// Equal blocks of C for so many threads, which read as little of A and B as such blocks can.
struct Shares {
  Index row_step, column_step, column_parts;

  Shares(Index rows, Index columns, Index parts) : row_step(rows), column_step(columns), column_parts(1) {
    Index least = std::numeric_limits<Index>::max();
    for (Index row_parts = 1; row_parts <= parts; ++row_parts) {
      Index const height = step(rows, row_parts), width = step(columns, parts / row_parts);
      if (parts % row_parts != 0 || height + width >= least) continue;
      least = height + width;
      row_step = height;
      column_step = width;
      column_parts = parts / row_parts;
    }
  }

  /// The part-th of them.
  template <class T>
  Block<T> of(Op a_op, Op b_op, Block<T> block, Index part) const {
    Index const row = std::min(block.c.rows, part / column_parts * row_step),
                column = std::min(block.c.columns, part % column_parts * column_step);
    block.take_rows(a_op, row, std::min(row_step, block.c.rows - row));
    block.take_columns(b_op, column, std::min(column_step, block.c.columns - column));
    return block;
  }

 private:
  static Index step(Index extent, Index parts) { return std::max<Index>(round_up(ceil_div(extent, parts), 16), 1); }
};

/// Whether operands are to be rounded to bfloat16, and there are any.
template <class Space>
bool rounds(Context<Space> const& context, Index count, Matrix<float> const& c, Index inner) {
  return context.products() == Products::bfloat16 && count * c.rows * c.columns * inner > 0;
}
template <class Space>
void multiply_rounded(Context<Space> const& context, BatchedProduct<float, float> const& of, bool summed);

}  // namespace detail

/// Tells the Work of a context that runs nothing of products one by one, in a loop of thread_gemm() say.
template <class T, class Space>
void tell_products(Context<Space> const& context, Index count, Index rows, Index inner, Index columns) {
  if (context.work() != nullptr && count * rows * inner * columns > 0)
    context.work()->product(count, rows, inner, columns, sizeof(T), count);
}

/// C_i = alpha op(A_i) op(B_i) + beta C_i for every i of the batch; the C_i do not overlap. Nothing is read from C
/// where beta is zero. T is the type of alpha. Where the context asks for products of bfloat16, rounded copies of the
/// operands are on its workspace meanwhile.
template <class Space, class T>
void batched_gemm(Context<Space> const& context, Op a_op, Op b_op, T alpha, std::type_identity_t<Batch<T const>> a,
                  std::type_identity_t<Batch<T const>> b, std::type_identity_t<T> beta,
                  std::type_identity_t<Batch<T>> c) {
  detail::check_product(a_op, b_op, a.first, b.first, c.first);
  Index const count = c.count();
  require(a.count() == count && b.count() == count, "batched_gemm: batches of ", a.count(), ", ", b.count(), " and ",
          count, " matrices do not go together");
  Index const inner = a_op == Op::none ? a.first.columns : a.first.rows;
  detail::BatchedProduct<T, T> const product{a_op, b_op, alpha, a, b, beta, c};
  if constexpr (std::is_same_v<T, float>)
    if (detail::rounds(context, count, c.first, inner)) return detail::multiply_rounded(context, product, false);
  if (detail::tells(context, product) || count == 0 || c.first.rows == 0 || c.first.columns == 0) return;
  if constexpr (detail::calls_host_blas<Space>) {
    Index const threads = context.space().concurrency();
    if (count == 1 && !detail::prefers_panel_product<T>(b_op, c.first.rows, inner, c.first.columns))
      return detail::product<Space, T>(context.space(), a_op, b_op, alpha, a.first, b.first, beta, c.first);
    Index const parts = count % threads != 0 && count < 8 * threads ? threads : 1;
    Space const space = context.space();
    detail::Shares const shares(c.first.rows, c.first.columns, parts);
    context.loop("dchag::batched_gemm", count * parts, [=](Index item) {
      Index const i = item / parts;
      auto const block = shares.of(a_op, b_op, detail::Block<T>{a.at(i), b.at(i), c.at(i)}, item % parts);
      if (!block.empty()) detail::product<Space, T>(space, a_op, b_op, alpha, block.a, block.b, beta, block.c);
    });
  } else {
    detail::device_products(context.space(), product);
  }
}

namespace detail {

/// From rounded copies of the operands, which are held as U.
template <class U, class Space>
void multiply_copies(Context<Space> const& context, BatchedProduct<float, float> const& of, bool summed) {
  auto scope = context.workspace().scope();
  auto const copies = [&](Batch<float const> const& operand, bool beside) {
    return summed ? Batch<U const>(joined<U>(context, operand, beside), 1, 0) : rounded<U>(context, operand);
  };
  BatchedProduct<float, U> const product{
      of.a_op, of.b_op, of.alpha, copies(of.a, of.a_op == Op::none), copies(of.b, of.b_op == Op::transpose),
      of.beta, of.c};
  check_product(product.a_op, product.b_op, product.a.first, product.b.first, product.c.first);
  if (context.dry()) {
    Index const count = product.c.count(), calls = std::is_same_v<U, float> ? count : Calls(product).count;
    if (context.work() != nullptr)
      context.work()->rounded_product(count, product.rows(), product.inner(), product.columns(), sizeof(U), calls);
  } else if constexpr (std::is_same_v<U, float>) {
    batched_gemm(context.with(Products::unrounded), product.a_op, product.b_op, product.alpha, product.a, product.b,
                 product.beta, product.c);
  } else if constexpr (has_device_blas<Space>) {
    run(context.space(), product, Calls(product));
  }
}

/// Products of operands rounded to bfloat16, or into the one C their sum: as one product of all columns of op(A_i) side
/// by side. A BLAS that multiplies bfloat16 reads copies of 2 bytes a number; others multiply floats of these values.
template <class Space>
void multiply_rounded(Context<Space> const& context, BatchedProduct<float, float> const& of, bool summed) {
  if (calls_device_blas(context))
    multiply_copies<Bfloat16>(context, of, summed);
  else
    multiply_copies<float>(context, of, summed);
}

}  // namespace detail

/// C = alpha op(A) op(B) + beta C.
template <class Space, class T>
void gemm(Context<Space> const& context, Op a_op, Op b_op, T alpha, std::type_identity_t<Matrix<T const>> a,
          std::type_identity_t<Matrix<T const>> b, std::type_identity_t<T> beta, std::type_identity_t<Matrix<T>> c) {
  batched_gemm<Space, T>(context, a_op, b_op, alpha, {a, 1, 0}, {b, 1, 0}, beta, {c, 1, 0});
}

/// C = alpha sum_i op(A_i) op(B_i) + beta C.
template <class Space, class T>
void summed_gemm(Context<Space> const& context, Op a_op, Op b_op, T alpha, std::type_identity_t<Batch<T const>> a,
                 std::type_identity_t<Batch<T const>> b, std::type_identity_t<T> beta,
                 std::type_identity_t<Matrix<T>> c) {
  detail::check_product(a_op, b_op, a.first, b.first, c);
  Index const count = a.count();
  require(b.count() == count && count > 0, "summed_gemm: batches of ", count, " and ", b.count(),
          " matrices do not go together");
  Index const inner = a_op == Op::none ? a.first.columns : a.first.rows;
  if constexpr (std::is_same_v<T, float>)
    if (detail::rounds(context, count, c, inner))
      return detail::multiply_rounded(context, {a_op, b_op, alpha, a, b, beta, {c, 1, 0}}, true);
  if (context.dry()) {
    tell_products<T>(context, count, c.rows, inner, c.columns);
    return;
  }
  if (c.rows == 0 || c.columns == 0) return;
  if constexpr (detail::calls_host_blas<Space>) {
    Index const parts = context.space().concurrency();
    Space const space = context.space();
    detail::Shares const shares(c.rows, c.columns, parts);
    context.loop("dchag::summed_gemm", parts, [=](Index part) {
      for (Index i = 0; i < count; ++i) {
        auto const block = shares.of(a_op, b_op, detail::Block<T>{a.at(i), b.at(i), c}, part);
        if (!block.empty())
          detail::product<Space, T>(space, a_op, b_op, alpha, block.a, block.b, i == 0 ? beta : T{1}, block.c);
      }
    });
  } else {
    for (Index i = 0; i < count; ++i)
      detail::device_products<Space, T>(
          context.space(), {a_op, b_op, alpha, {a.at(i), 1, 0}, {b.at(i), 1, 0}, i == 0 ? beta : T{1}, {c, 1, 0}});
  }
}

}  // namespace dchag::linalg
