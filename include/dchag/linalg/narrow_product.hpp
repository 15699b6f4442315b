#pragma once

#include <dchag/core/lanes.hpp>
#include <dchag/linalg/matrix.hpp>

namespace dchag::linalg::detail {

// Host products A B^T on the calling thread where B has few rows: what a gradient of weights is whose patches are of a
// few pixels. A BLAS copies and pads both operands there and takes several times as long.

inline constexpr Index narrow_columns = 16;  // are too many

/// Whether NarrowProduct is the faster way to form a product of these sizes.
template <class T>
constexpr bool prefers_narrow_product(Op a_op, Op b_op, Index rows, Index inner, Index columns) {
  return vector_bytes >= 32 && a_op == Op::none && b_op == Op::transpose && columns < narrow_columns &&
         inner * static_cast<Index>(sizeof(T)) >= vector_bytes && rows * inner * columns <= (Index{1} << 20);
}

/// C = alpha A B^T + beta C, where both have `inner` columns, in blocks of dot products whose sums stay in registers.
template <class T>
struct NarrowProduct {
  static constexpr int lanes = vector_bytes > 0 ? vector_bytes / static_cast<int>(sizeof(T)) : 1;
  static constexpr int most_rows = 3, most_columns = 4;
  Index inner;
  T alpha, beta;
  Matrix<T const> a, b;
  Matrix<T> c;

  template <int rows, int columns>
  void block(Index first_row, Index first_column) const {
    using L = Lanes<T, lanes>;
    T const *const left = a.data + first_row * a.stride, *const right = b.data + first_column * b.stride;
    L sum[rows][columns] = {};
    Index k = 0;
    for (; k + lanes <= inner; k += lanes) {
      L row[rows];
#pragma GCC unroll 3
      for (int i = 0; i < rows; ++i) row[i] = load<L>(left + i * a.stride + k);
#pragma GCC unroll 4
      for (int j = 0; j < columns; ++j) {
        L const column = load<L>(right + j * b.stride + k);
#pragma GCC unroll 3
        for (int i = 0; i < rows; ++i) sum[i][j] += row[i] * column;
      }
    }
#pragma GCC unroll 3
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < columns; ++j) {
        T total = sum_lanes(sum[i][j], left);
        for (Index l = k; l < inner; ++l) total += left[i * a.stride + l] * right[j * b.stride + l];
        T& place = c.data[(first_row + i) * c.stride + first_column + j];
        place = alpha * total + (beta == T{0} ? T{0} : beta * place);
      }
  }

  /// All rows of so many columns.
  template <int columns>
  void run(Index first_column) const {
    Index row = 0;
    for (; row + most_rows <= c.rows; row += most_rows) block<most_rows, columns>(row, first_column);
    for (; row < c.rows; ++row) block<1, columns>(row, first_column);
  }

  void operator()() const {
    Index column = 0;
    for (; column + most_columns <= c.columns; column += most_columns) run<most_columns>(column);
    for (; column < c.columns; ++column) run<1>(column);
  }
};

}  // namespace dchag::linalg::detail
