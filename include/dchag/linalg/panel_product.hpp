#pragma once

#include <algorithm>
#include <dchag/core/lanes.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/linalg/turn.hpp>

namespace dchag::linalg::detail {

// Products on the calling thread of a host, for processors with AVX2 or AVX-512: op(B) is copied into panels of a few
// vectors, A and C stay where they are. A BLAS copies both operands and sets C before it adds to it, which is a fifth
// to a third of its time where sides are 64 to 256 long.

inline constexpr bool has_panel_product = vector_bytes >= 32;

/// A block of C stays in registers, in most of the 16 of AVX2 or the 32 of AVX-512.
template <class T>
struct PanelTile {
  static constexpr int lanes = vector_bytes > 0 ? vector_bytes / static_cast<int>(sizeof(T)) : 1;
  static constexpr int vectors = vector_bytes == 64 ? 4 : 2, registers = vector_bytes == 64 ? 24 : 12;
  static constexpr int rows = registers / vectors, columns = vectors * lanes;
  static constexpr Index largest_inner = vector_bytes == 64 ? 512 : 256;     // of a panel of B
  static constexpr Index turned_rows = 768 / sizeof(T), turned_inner = 384;  // of a block of a transposed A

  /// Of a panel of so many vectors.
  static constexpr int rows_of(int panel_vectors) { return std::min(12, registers / panel_vectors); }
  /// Of the first panel of so many columns, the last of which may be padded. What is left after it is never one vector.
  static constexpr int vectors_of(Index left) {
    Index const all = ceil_div(left, lanes);
    return static_cast<int>(all == vectors + 1 ? ceil_div(all, 2) : std::min<Index>(all, vectors));
  }
  static constexpr Index columns_of(Index left) { return std::min<Index>(left, vectors_of(left) * lanes); }
};

/// A panel's columns of alpha A B + beta C; A by the steps between its rows and along `inner`, B as a panel
/// [inner, vectors x lanes], padded where C has fewer columns.
template <class T, int vectors>
struct PanelRows {
  using Tile = PanelTile<T>;
  static constexpr int width = vectors * Tile::lanes;
  Index inner, row_step, inner_step, c_step, columns;
  T alpha, beta;
  T const* b;

  /// Of so many rows.
  template <int rows>
  void run(T const* a, T* c) const {
    using L = Lanes<T, Tile::lanes>;
    if (beta != T{0})  // what C has comes while the sums are formed
#pragma GCC unroll 12
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < width; j += 64 / sizeof(T)) prefetch(c + i * c_step + j);
        prefetch(c + i * c_step + width - 1);
      }
    L sum[rows][vectors] = {};
    T const* right = b;
    for (Index k = 0; k < inner; ++k, right += width, a += inner_step) {
      L row[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) row[v] = load<L>(right + v * Tile::lanes);
#pragma GCC unroll 12
      for (int i = 0; i < rows; ++i) {
        L const left = broadcast<L>(a[i * row_step]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] += left * row[v];
      }
    }
    if (columns == width) {
#pragma GCC unroll 12
      for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
          T* const place = c + i * c_step + v * Tile::lanes;
          L const value = sum[i][v] * alpha;
          store(place, beta == T{0} ? value : value + load<L>(place) * beta);
        }
      return;
    }
    T out[rows][width];  // sum itself would leave its registers if it had a variable index
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) store(out[i] + v * Tile::lanes, sum[i][v]);
    for (int i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) {
        T& place = c[i * c_step + j];
        place = alpha * out[i][j] + (beta == T{0} ? T{0} : beta * place);
      }
  }

  /// Rows [row, count), `rows` at a time as long as there are so many.
  template <int rows = Tile::rows_of(vectors)>
  void run_from(Index row, Index count, T const* a, T* c) const {
    for (; row + rows <= count; row += rows) run<rows>(a + row * row_step, c + row * c_step);
    if constexpr (rows > 1) run_from<(rows > 4 ? 4 : 1)>(row, count, a, c);
  }
};

/// C = alpha op(A) op(B) + beta C, where panel(j) is the panel of op(B) whose first column is j.
template <class T, class Panel>
void panel_product(Op a_op, T alpha, Matrix<T const> const& a, Panel const& panel, T beta, Matrix<T> const& c) {
  using Tile = PanelTile<T>;
  auto const run = [&]<int vectors>(Index j) {
    PanelRows<T, vectors> const rows{.inner = a_op == Op::none ? a.columns : a.rows,
                                     .row_step = a_op == Op::none ? a.stride : 1,
                                     .inner_step = a_op == Op::none ? 1 : a.stride,
                                     .c_step = c.stride,
                                     .columns = Tile::columns_of(c.columns - j),
                                     .alpha = alpha,
                                     .beta = beta,
                                     .b = panel(j)};
    rows.run_from(0, c.rows, a.data, c.data + j);
  };
  for (Index j = 0; j < c.columns; j += Tile::columns_of(c.columns - j)) {
    int const vectors = Tile::vectors_of(c.columns - j);
    if (vectors == 1)
      run.template operator()<1>(j);
    else if (vectors == 2)
      run.template operator()<2>(j);
    else if constexpr (Tile::vectors == 4)
      vectors == 3 ? run.template operator()<3>(j) : run.template operator()<4>(j);
  }
}

/// Columns [first, first + columns) of op(B) as a panel, padded to whole vectors.
template <class T>
void copy_panel(Op b_op, Matrix<T const> const& b, Index inner, Index first, Index columns, T* panel) {
  constexpr int lanes = PanelTile<T>::lanes;
  using L = Lanes<T, lanes>;
  Index const width = round_up(columns, lanes), whole = columns / lanes * lanes;
  Index const step = b_op == Op::none ? 1 : b.stride, inner_step = b_op == Op::none ? b.stride : 1;
  T const* const from = b.data + first * step;
  if (b_op == Op::none)
    for (Index k = 0; k < inner; ++k)
      for (Index j = 0; j < whole; j += lanes) store(panel + k * width + j, load<L>(from + k * b.stride + j));
  else
    for (Index j = 0; j < whole; j += lanes)
      turn_rows<lanes>([&](int lane) { return from + (j + lane) * b.stride; }, inner, panel + j, width);
  for (Index k = 0; k < inner && whole < width; ++k)
    for (Index j = whole; j < width; ++j) panel[k * width + j] = j < columns ? from[j * step + k * inner_step] : T{0};
}

/// Numbers that copy_panels() writes.
template <class T>
constexpr Index panels_size(Index inner, Index columns) {
  return inner * round_up(columns, PanelTile<T>::lanes);
}

/// All columns of op(B), panel after panel.
template <class T>
void copy_panels(Op b_op, Matrix<T const> const& b, Index inner, Index columns, T* panels) {
  for (Index j = 0, count = 0; j < columns; j += count) {
    count = PanelTile<T>::columns_of(columns - j);
    copy_panel(b_op, b, inner, j, count, panels + j * inner);
  }
}

/// Whether the panel_product() below is the faster way to form a product of these sizes: few rows do not pay for the
/// copy of B.
template <class T>
constexpr bool prefers_panel_product(Op b_op, Index rows, Index inner, Index columns) {
  using Tile = PanelTile<T>;
  if (!has_panel_product || columns < 2 * Tile::lanes) return false;
  Index const size = rows * inner * columns;
  if constexpr (vector_bytes == 64) return rows >= 32 && size <= (Index{1} << 29);
  return rows >= (b_op == Op::none ? 32 : 64) && inner <= Tile::largest_inner && size <= (Index{1} << 23);
}

/// C = alpha op(A) op(B) + beta C, of B as it is. Columns of a transposed A fall into few sets of a cache: unless they
/// are few, or read for few panels of B, blocks of A are turned.
template <class T>
void panel_product(Op a_op, Op b_op, T alpha, Matrix<T const> const& a, Matrix<T const> const& b, T beta,
                   Matrix<T> const& c) {
  using Tile = PanelTile<T>;
  constexpr Index turned_step = Tile::turned_inner + Tile::lanes;  // no multiple of 4 KiB between rows
  alignas(64) T panel[Tile::largest_inner * Tile::columns];
  alignas(64) T turned[Tile::turned_rows * turned_step];
  Index const inner = a_op == Op::none ? a.columns : a.rows;
  bool const turns = a_op == Op::transpose && (inner > 256 || c.columns > 2 * Tile::columns);
  Index const chunks = std::max<Index>(ceil_div(inner, turns ? Tile::turned_inner : Tile::largest_inner), 1),
              step = std::max<Index>(round_up(ceil_div(inner, chunks), Tile::lanes), 1),
              height = std::max<Index>(turns ? Tile::turned_rows : c.rows, 1);
  for (Index k = 0; k == 0 || k < inner; k += step) {
    Index const depth = std::min(step, inner - k);
    Matrix<T const> const own_b = b_op == Op::none ? b.rows_at(k, depth) : b.columns_at(k, depth);
    auto const copied = [&](Index j) -> T const* {
      copy_panel(b_op, own_b, depth, j, Tile::columns_of(c.columns - j), panel);
      return panel;
    };
    for (Index row = 0; row < c.rows; row += height) {
      Index const count = std::min(height, c.rows - row);
      Matrix<T const> own_a =
          a_op == Op::none ? a.rows_at(row, count).columns_at(k, depth) : a.rows_at(k, depth).columns_at(row, count);
      if (turns) {
        turn(own_a, turned, turned_step);
        own_a = {turned, count, depth, turned_step};
      }
      panel_product(turns ? Op::none : a_op, alpha, own_a, copied, k == 0 ? beta : T{1}, c.rows_at(row, count));
    }
  }
}

}  // namespace dchag::linalg::detail
