#pragma once

#include <algorithm>
#include <dchag/core/lanes.hpp>
#include <dchag/linalg/matrix.hpp>

namespace dchag::linalg::detail {

// Small host products on the calling thread, for processors with AVX2: there OpenBLAS copies both operands and sets C
// before it adds to it, which is a fifth to a third of its time where sides are 64 to 256 long. With AVX-512 it has
// kernels of its own for small products.

inline constexpr bool has_small_product = vector_bytes == 32;

/// A block of C stays in registers: 6 rows of two vectors, of the 16 registers of AVX2.
template <class T>
struct SmallTile {
  static constexpr int lanes = vector_bytes > 0 ? vector_bytes / static_cast<int>(sizeof(T)) : 1;
  static constexpr int rows = 6, columns = 2 * lanes;
  static constexpr Index largest_inner = 256;  // of the panel of B that is copied: 16 KiB stay in the first cache
};

/// Whether small_product() is the faster way to form a product of these sizes. Where B is transposed its copy takes
/// longer, and more rows have to share it.
template <class T>
constexpr bool prefers_small_product(Op b_op, Index rows, Index inner, Index columns) {
  using Tile = SmallTile<T>;
  return has_small_product && rows >= (b_op == Op::none ? 32 : 256) && columns >= Tile::columns &&
         inner <= Tile::largest_inner && rows * inner * columns <= (Index{1} << 23);
}

/// Up to SmallTile::columns columns of alpha A B + beta C; A by the steps between its rows and along `inner`, B as a
/// panel [inner, SmallTile::columns], padded where C has fewer columns.
template <class T>
struct SmallPanel {
  Index inner, row_step, inner_step, c_step, columns;
  T alpha, beta;
  T const* b;

  /// Of so many rows.
  template <int rows>
  void run(T const* a, T* c) const {
    using Tile = SmallTile<T>;
    using L = Lanes<T, Tile::lanes>;
    if (beta != T{0})  // what C has comes while the sums are formed
#pragma GCC unroll 6
      for (int i = 0; i < rows; ++i) {
        prefetch(c + i * c_step);
        prefetch(c + i * c_step + Tile::columns - 1);
      }
    L sum[rows][2] = {};
    T const* right = b;
    for (Index k = 0; k < inner; ++k, right += Tile::columns, a += inner_step) {
      L const first = load<L>(right), second = load<L>(right + Tile::lanes);
#pragma GCC unroll 6
      for (int i = 0; i < rows; ++i) {
        L const left = broadcast<L>(a[i * row_step]);
        sum[i][0] += left * first;
        sum[i][1] += left * second;
      }
    }
    if (columns == Tile::columns) {
#pragma GCC unroll 6
      for (int i = 0; i < rows; ++i)
        for (int half = 0; half < 2; ++half) {
          T* const place = c + i * c_step + half * Tile::lanes;
          L const value = sum[i][half] * alpha;
          store(place, beta == T{0} ? value : value + load<L>(place) * beta);
        }
      return;
    }
    T out[rows][Tile::columns];  // sum itself would leave its registers if it had a variable index
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i)
      for (int half = 0; half < 2; ++half) store(out[i] + half * Tile::lanes, sum[i][half]);
    for (int i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) {
        T& place = c[i * c_step + j];
        place = alpha * out[i][j] + (beta == T{0} ? T{0} : beta * place);
      }
  }

  /// Of fewer rows than SmallTile::rows, told at run time.
  template <int most = SmallTile<T>::rows - 1>
  void run_few(Index rows, T const* a, T* c) const {
    if (rows == most) return run<most>(a, c);
    if constexpr (most > 1) run_few<most - 1>(rows, a, c);
  }
};

/// Columns [first, first + count) of op(B), as a padded panel [inner, SmallTile::columns].
template <class T>
void copy_panel(Op b_op, Matrix<T const> const& b, Index inner, Index first, Index count, T* panel) {
  using Tile = SmallTile<T>;
  using L = Lanes<T, Tile::lanes>;
  if (b_op == Op::none && count == Tile::columns) {
    for (Index k = 0; k < inner; ++k) {
      T const* const row = b.data + k * b.stride + first;
      store(panel + k * Tile::columns, load<L>(row));
      store(panel + k * Tile::columns + Tile::lanes, load<L>(row + Tile::lanes));
    }
    return;
  }
  Index const step = b_op == Op::none ? 1 : b.stride, inner_step = b_op == Op::none ? b.stride : 1;
  for (Index j = 0; j < Tile::columns; ++j) {
    T const* const column = b.data + (first + j) * step;
    for (Index k = 0; k < inner; ++k) panel[k * Tile::columns + j] = j < count ? column[k * inner_step] : T{0};
  }
}

/// Numbers that copy_panels() writes.
template <class T>
constexpr Index panels_size(Index inner, Index columns) {
  return inner * round_up(columns, Index{SmallTile<T>::columns});
}

/// All columns of op(B), panel after panel; B is read in order, or where it is transposed in squares of a register.
template <class T>
void copy_panels(Op b_op, Matrix<T const> const& b, Index inner, Index columns, T* panels) {
  constexpr int width = SmallTile<T>::columns, lanes = SmallTile<T>::lanes;
  using L = Lanes<T, lanes>;
  Index const whole = columns / width * width;
  if (b_op == Op::none)
    for (Index k = 0; k < inner; ++k)
      for (Index j = 0; j < whole; j += lanes)
        store(panels + j / width * width * inner + k * width + j % width, load<L>(b.data + k * b.stride + j));
  else
    for (Index j = 0; j < whole; j += lanes) {
      T const* const rows = b.data + j * b.stride;
      T* const to = panels + j / width * width * inner + j % width;
      Index k = 0;
      for (; k + lanes <= inner; k += lanes) {
        L square[lanes];
        for (int i = 0; i < lanes; ++i) square[i] = load<L>(rows + i * b.stride + k);
        transpose_lanes<T>(square);
        for (int i = 0; i < lanes; ++i) store(to + (k + i) * width, square[i]);
      }
      for (; k < inner; ++k)
        for (int i = 0; i < lanes; ++i) to[k * width + i] = rows[i * b.stride + k];
    }
  if (whole < columns) copy_panel(b_op, b, inner, whole, columns - whole, panels + whole * inner);
}

/// C = alpha op(A) op(B) + beta C, where panel(j) is the panel of op(B) whose first column is j.
template <class T, class Panel>
void small_product(Op a_op, T alpha, Matrix<T const> const& a, Panel const& panel, T beta, Matrix<T> const& c) {
  using Tile = SmallTile<T>;
  SmallPanel<T> work{.inner = a_op == Op::none ? a.columns : a.rows,
                     .row_step = a_op == Op::none ? a.stride : 1,
                     .inner_step = a_op == Op::none ? 1 : a.stride,
                     .c_step = c.stride,
                     .columns = Tile::columns,
                     .alpha = alpha,
                     .beta = beta,
                     .b = nullptr};
  for (Index j = 0; j < c.columns; j += Tile::columns) {
    work.columns = std::min<Index>(Tile::columns, c.columns - j);
    work.b = panel(j);
    Index i = 0;
    for (; i + Tile::rows <= c.rows; i += Tile::rows)
      work.template run<Tile::rows>(a.data + i * work.row_step, c.data + i * c.stride + j);
    if (i < c.rows) work.run_few(c.rows - i, a.data + i * work.row_step, c.data + i * c.stride + j);
  }
}

/// C = alpha op(A) op(B) + beta C, of the sizes that prefers_small_product() is true of.
template <class T>
void small_product(Op a_op, Op b_op, T alpha, Matrix<T const> const& a, Matrix<T const> const& b, T beta,
                   Matrix<T> const& c) {
  using Tile = SmallTile<T>;
  alignas(64) T panel[Tile::largest_inner * Tile::columns];
  Index const inner = a_op == Op::none ? a.columns : a.rows;
  auto const copied = [&](Index j) -> T const* {
    copy_panel(b_op, b, inner, j, std::min<Index>(Tile::columns, c.columns - j), panel);
    return panel;
  };
  small_product(a_op, alpha, a, copied, beta, c);
}

}  // namespace dchag::linalg::detail
