#pragma once

#include <dchag/linalg/gemm.hpp>
#include <dchag/linalg/turn.hpp>
#include <type_traits>

namespace dchag::linalg {

/// Whether host loops of this space may call thread_gemm().
template <class Space>
inline constexpr bool has_thread_gemm = detail::calls_host_blas<Space>;

/// Whether a step that runs so is to call it: its operands are not rounded, and it is not planned for a device.
template <class Space>
bool prefers_thread_gemm(Context<Space> const& context) {
  return has_thread_gemm<Space> && Pieces::of<Space>().host && context.products() == Products::unrounded;
}

/// C = alpha op(A) op(B) + beta C on the calling thread of a parallel loop, for products that stay in its caches. As
/// gemm() otherwise, but that operands are never rounded; the extents have to go together.
template <class Space, class T>
void thread_gemm(Space const& space, Op a_op, Op b_op, T alpha, std::type_identity_t<Matrix<T const>> a,
                 std::type_identity_t<Matrix<T const>> b, std::type_identity_t<T> beta,
                 std::type_identity_t<Matrix<T>> c) {
  static_assert(has_thread_gemm<Space>);
  detail::product<Space, T>(space, a_op, b_op, alpha, a, b, beta, c);
}

/// op(B) of several products of one thread, in the form in which it is multiplied fastest: a copy, but for what is as
/// fast where it stands. The storage, and B, are to last as long as it is used.
template <class Space, class T>
class RightOperand {
 public:
  /// What rows and columns of C are best whole multiples of.
  static constexpr Index row_step = detail::PanelTile<T>::rows, column_step = detail::PanelTile<T>::columns;

  /// Numbers of storage that B of that size takes.
  static Index size(Index inner, Index columns) { return detail::panels_size<T>(inner, columns); }

  RightOperand() = default;
  RightOperand(Op op, Matrix<T const> const& b, T* storage)
      : op_(op), inner_(op == Op::none ? b.rows : b.columns), b_(b) {
    Index const columns = op == Op::none ? b.columns : b.rows;
    if (op == Op::transpose && columns < detail::narrow_columns) return;
    panels_ = detail::has_panel_product && inner_ <= detail::PanelTile<T>::largest_inner;
    if (panels_ && op == Op::none && columns <= column_step && b.stride == columns &&
        detail::panels_size<T>(1, columns) == columns)
      return;
    if (panels_)
      detail::copy_panels(op, b, inner_, columns, storage);
    else if (op == Op::transpose)
      turn(b, storage, columns);
    else
      return;
    op_ = Op::none;
    b_ = {storage, inner_, columns};
  }

  /// C = alpha op(A) op(B) + beta C.
  void multiply(Space const& space, Op a_op, T alpha, Matrix<T const> const& a, T beta, Matrix<T> const& c) const {
    if (!panels_) return thread_gemm(space, a_op, op_, alpha, a, b_, beta, c);
    auto const panel = [this](Index j) { return b_.data + j * inner_; };
    detail::panel_product(a_op, alpha, a, panel, beta, c);
  }

 private:
  Op op_ = Op::none;
  bool panels_ = false;
  Index inner_ = 0;
  Matrix<T const> b_{nullptr, 0, 0};
};

}  // namespace dchag::linalg
