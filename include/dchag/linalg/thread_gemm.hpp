#pragma once

#include <dchag/linalg/gemm.hpp>
#include <type_traits>

namespace dchag::linalg {

/// Whether host loops of this space may call thread_gemm().
template <class Space>
inline constexpr bool has_thread_gemm = detail::calls_host_blas<Space>;

/// C = alpha op(A) op(B) + beta C on the calling thread of a parallel loop, for products that stay in its caches. As
/// gemm() otherwise, but that operands are never rounded; the extents have to go together.
template <class Space, class T>
void thread_gemm(Space const& space, Op a_op, Op b_op, T alpha, std::type_identity_t<Matrix<T const>> a,
                 std::type_identity_t<Matrix<T const>> b, std::type_identity_t<T> beta,
                 std::type_identity_t<Matrix<T>> c) {
  static_assert(has_thread_gemm<Space>);
  detail::Blocking const blocking(b_op, c.rows, a_op == Op::none ? a.columns : a.rows, c.columns);
  for (Index at = 0; at < blocking.count(); ++at) {
    detail::Block<T> block{a, b, c};
    detail::Part const rows(c.rows, blocking.row_step, at % blocking.row_parts),
        columns(c.columns, blocking.column_step, at / blocking.row_parts);
    block.take_rows(a_op, rows.first, rows.count);
    block.take_columns(b_op, columns.first, columns.count);
    if (!block.empty()) detail::product<Space, T>(space, a_op, b_op, alpha, block.a, block.b, beta, block.c);
  }
}

/// Tells the Work of a context that runs nothing of products that a loop of thread_gemm() would do.
template <class T, class Space>
void tell_products(Context<Space> const& context, Index count, Index rows, Index inner, Index columns) {
  if (context.work() != nullptr && count * rows * inner * columns > 0)
    context.work()->product(count, rows, inner, columns, sizeof(T));
}

}  // namespace dchag::linalg
