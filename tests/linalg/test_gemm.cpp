#include <doctest/doctest.h>

#include <algorithm>
#include <dchag/linalg/thread_gemm.hpp>
#include <dchag/linalg/turn.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "linalg/memory.hpp"

using dchag::Index;
using dchag::linalg::Batch;
using dchag::linalg::Matrix;
using dchag::linalg::Op;
using dchag::tests::check_equal;
using dchag::tests::Memory;
using dchag::tests::naive;
using dchag::tests::Place;
using dchag::tests::shifted;
using dchag::tests::Space;

namespace {

struct Fixture {
  dchag::Workspace<Space> workspace{0};
  dchag::Context<Space> context{workspace};
};

/// rows x columns of C and the inner extent, the columns standing `gap` elements apart from the next row.
template <class T>
void check_product(Op a_op, Op b_op, Index rows, Index columns, Index inner, Index gap, double alpha, double beta) {
  INFO(rows, " x ", columns, " x ", inner, ", gap ", gap, ", transposed ", a_op == Op::transpose,
       b_op == Op::transpose);
  Fixture const fixture;
  Place a{gap, rows, inner, inner + gap}, b{gap, inner, columns, columns + gap}, c{gap, rows, columns, columns + gap};
  if (a_op == Op::transpose) a = {gap, inner, rows, rows + gap};
  if (b_op == Op::transpose) b = {gap, columns, inner, inner + gap};
  auto const size = [](Place const& place) { return place.offset + place.rows * place.stride + 1; };
  Memory<T> const left(size(a), "a"), right(size(b), "b");
  Memory<T> out(size(c), "c");
  naive(a_op, b_op, alpha, left.host, a, right.host, b, beta, out.host, c);
  dchag::linalg::gemm(fixture.context, a_op, b_op, static_cast<T>(alpha), a.in(left), b.in(right), static_cast<T>(beta),
                      c.in(out));
  Kokkos::fence();
  check_equal<T>(out.now(), out.host);  // the gaps between rows included
}

constexpr Op both[] = {Op::none, Op::transpose};

}  // namespace

TEST_CASE_TEMPLATE("gemm is alpha op(A) op(B) + beta C in every transposition, also of ranges of columns", T, float,
                   double) {
  for (Op a_op : both)
    for (Op b_op : both)
      for (Index gap : {0, 5}) {
        check_product<T>(a_op, b_op, 17, 23, 31, gap, 1, 0);
        check_product<T>(a_op, b_op, 40, 9, 3, gap, 0.5, 1);
        check_product<T>(a_op, b_op, 1, 12, 8, gap, -2, 0.25);
        check_product<T>(a_op, b_op, 64, 64, 64, gap, 1, 1);
        check_product<T>(a_op, b_op, 131, 45, 256, gap, -1, 0.5);
        check_product<T>(a_op, b_op, 70, 300, 150, gap, 1, 0.5);
      }
}

// Whether or not this processor is one that gemm() uses them on.
TEST_CASE_TEMPLATE("products of panels on the calling thread are alpha op(A) op(B) + beta C", T, float, double) {
  if constexpr (dchag::vector_bytes > 0 && dchag::on_host<Space>) {
    for (Op a_op : both)
      for (Op b_op : both)
        for (Index rows : {1, 5, 6, 67, 205})
          for (Index columns : {1, 7, 16, 32, 45, 64, 119})  // panels of one to four vectors
            for (Index inner : {0, 1, 33, 600}) {            // in one panel and in several
              INFO(rows, " x ", columns, " x ", inner);
              Place const a = a_op == Op::none ? Place{1, rows, inner, inner + 2} : Place{1, inner, rows, rows + 2};
              Place const b =
                  b_op == Op::none ? Place{2, inner, columns, columns + 1} : Place{2, columns, inner, inner + 1};
              Place const c{3, rows, columns, columns + 3};
              Memory<T> const left(1 + a.rows * a.stride, "a"), right(2 + b.rows * b.stride, "b");
              for (double const beta : {0.0, 0.5}) {
                Memory<T> out(3 + c.rows * c.stride, "c");
                naive(a_op, b_op, -0.25, left.host, a, right.host, b, beta, out.host, c);
                dchag::linalg::detail::panel_product<T>(a_op, b_op, T(-0.25), a.in(left), b.in(right),
                                                        static_cast<T>(beta), c.in(out));
                check_equal<T>(out.now(), out.host);
              }
            }
  }
}

TEST_CASE_TEMPLATE("a matrix is turned", T, float, double) {
  for (Index rows : {1, 7, 16, 45})
    for (Index columns : {1, 3, 19, 64}) {
      std::vector<T> from(static_cast<std::size_t>(rows * (columns + 2))),
          to(static_cast<std::size_t>(columns * (rows + 1)), T{-1}), expected = to;
      for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i);
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < columns; ++j)
          expected[static_cast<std::size_t>(j * (rows + 1) + i)] = static_cast<T>(i * (columns + 2) + j);
      dchag::linalg::turn({from.data(), rows, columns, columns + 2}, to.data(), rows + 1);
      CHECK(to == expected);
    }
}

TEST_CASE("the blocks of C that threads take are C, once") {
  for (auto const& size : {std::pair<Index, Index>{1, 1}, {0, 5}, {17, 40}, {512, 768}, {2000, 3}})
    for (Index parts : {1, 2, 3, 6, 7, 16, 64}) {
      Index const rows = size.first, columns = size.second;
      INFO(rows, " x ", columns, " in ", parts);
      std::vector<float> memory(static_cast<std::size_t>(rows * columns + 1));
      Matrix<float> const c(memory.data(), rows, columns), left(memory.data(), rows, 0),
          right(memory.data(), 0, columns);
      dchag::linalg::detail::Shares const shares(rows, columns, parts);
      for (Index part = 0; part < parts; ++part) {
        auto const own = shares.of(Op::none, Op::none, dchag::linalg::detail::Block<float>{left, right, c}, part);
        CHECK(own.a.rows == own.c.rows);
        CHECK(own.b.columns == own.c.columns);
        for (Index i = 0; i < own.c.rows; ++i)
          for (Index j = 0; j < own.c.columns; ++j) ++own.c.data[i * own.c.stride + j];
      }
      CHECK(std::count(memory.begin(), memory.end() - 1, 1.0f) == rows * columns);
    }
  dchag::linalg::detail::Shares const wide(512, 768, 16), tall(2000, 3, 16), two(512, 768, 2);
  CHECK(std::pair(wide.row_step, wide.column_step) == std::pair<Index, Index>(128, 192));
  CHECK(std::pair(tall.row_step, tall.column_step) == std::pair<Index, Index>(128, 16));
  CHECK(std::pair(two.row_step, two.column_step) == std::pair<Index, Index>(512, 384));
}

TEST_CASE_TEMPLATE("narrow products on the calling thread are alpha A B^T + beta C", T, float, double) {
  if constexpr (dchag::vector_bytes > 0 && dchag::on_host<Space>) {
    for (Index rows : {1, 2, 3, 8, 64})
      for (Index columns : {1, 3, 4, 6, 15})
        for (Index inner : {1, 8, 33, 128}) {
          INFO(rows, " x ", columns, " x ", inner);
          Place const a{1, rows, inner, inner + 2}, b{2, columns, inner, inner + 1}, c{3, rows, columns, columns + 3};
          Memory<T> const left(1 + a.rows * a.stride, "a"), right(2 + b.rows * b.stride, "b");
          for (double const beta : {0.0, 0.5}) {
            Memory<T> out(3 + c.rows * c.stride, "c");
            naive(Op::none, Op::transpose, -1.5, left.host, a, right.host, b, beta, out.host, c);
            dchag::linalg::detail::NarrowProduct<T>{inner,      T(-1.5),     static_cast<T>(beta),
                                                    a.in(left), b.in(right), c.in(out)}();
            check_equal<T>(out.now(), out.host);
          }
        }
  }
}

TEST_CASE_TEMPLATE("a right operand is multiplied as the matrix that it was made from", T, float, double) {
  if constexpr (dchag::linalg::has_thread_gemm<Space>) {
    using Operand = dchag::linalg::RightOperand<Space, T>;
    Space const space;
    for (Op op : both)
      for (Index columns : {1, 7, 16, 32, 45, 64, 119})
        for (auto [inner, gap] : {std::pair<Index, Index>{1, 0}, {1, 1}, {33, 0}, {33, 1}, {256, 1}, {600, 1}}) {
          Place const b =
              op == Op::none ? Place{2, inner, columns, columns + gap} : Place{2, columns, inner, inner + gap};
          Memory<T> const right(2 + b.rows * b.stride, "b");
          Memory<T> const storage(Operand::size(inner, columns), "storage");
          Operand const operand(op, b.in(right), storage.data.data());
          for (Op left_op : both)
            for (Index rows : {1, 8, 67})
              for (double const beta : {0.0, 0.5}) {
                INFO(rows, " x ", columns, " x ", inner);
                Place const a =
                    left_op == Op::none ? Place{1, rows, inner, inner + 2} : Place{1, inner, rows, rows + 2};
                Place const c{3, rows, columns, columns + 3};
                Memory<T> const left(1 + a.rows * a.stride, "a");
                Memory<T> out(3 + c.rows * c.stride, "c");
                naive(left_op, op, -0.25, left.host, a, right.host, b, beta, out.host, c);
                operand.multiply(space, left_op, T(-0.25), a.in(left), static_cast<T>(beta), c.in(out));
                check_equal<T>(out.now(), out.host);
              }
        }
  }
}

TEST_CASE_TEMPLATE("gemm with one output column heeds the strides of what it reads and writes", T, float, double) {
  for (Op a_op : both)
    for (Op b_op : both)
      for (Index gap : {0, 1, 7}) {
        check_product<T>(a_op, b_op, 19, 1, 11, gap, 1, 0);
        check_product<T>(a_op, b_op, 19, 1, 11, gap, 2, 1);
        check_product<T>(a_op, b_op, 1, 1, 11, gap, 1, 1);
      }
}

TEST_CASE_TEMPLATE("gemm without an inner extent scales C, and without rows or columns does nothing", T, float,
                   double) {
  for (Op a_op : both)
    for (Op b_op : both) {
      check_product<T>(a_op, b_op, 6, 7, 0, 2, 1, 0);
      check_product<T>(a_op, b_op, 6, 7, 0, 2, 1, 1);
      check_product<T>(a_op, b_op, 0, 7, 5, 2, 1, 1);
      check_product<T>(a_op, b_op, 6, 0, 5, 2, 1, 1);
    }
}

TEST_CASE_TEMPLATE("gemm with beta zero reads nothing from C", T, float, double) {
  Fixture const fixture;
  for (Index columns : {1, 8}) {
    Place const a{0, 5, 4, 4}, b{0, 4, columns, columns}, c{0, 5, columns, columns};
    Memory<T> const left(20, "a"), right(4 * columns, "b");
    Memory<T> out(5 * columns, "c");
    out.fill(std::numeric_limits<double>::quiet_NaN());
    naive(Op::none, Op::none, 1, left.host, a, right.host, b, 0, out.host, c);
    dchag::linalg::gemm(fixture.context, Op::none, Op::none, T{1}, a.in(left), b.in(right), T{0}, c.in(out));
    Kokkos::fence();
    check_equal<T>(out.now(), out.host);
  }
}

TEST_CASE("gemm refuses shapes that do not go together and extents beyond BLAS, with both in the message") {
  Fixture const fixture;
  float* const none = nullptr;
  auto const message = [&](Matrix<float> a, Matrix<float> b, Matrix<float> c) -> std::string {
    try {
      dchag::linalg::gemm(fixture.context, Op::none, Op::transpose, 1.0f, a, b, 0.0f, c);
    } catch (dchag::Error const& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message({none, 3, 4}, {none, 5, 6}, {none, 3, 5}) ==
        "gemm: op(A) is 3 x 4 and op(B) 6 x 5, which does not give C of 3 x 5");
  CHECK(message({none, 3, 4}, {none, 5, 4}, {none, 3, 6}) != "");
  CHECK(message({none, 0, 4, Index{1} << 31}, {none, 5, 4}, {none, 0, 5}).find("32-bit") != std::string::npos);
}

TEST_CASE_TEMPLATE("batched gemm multiplies the heads of images where they stand", T, float, double) {
  Fixture const fixture;
  Index const size = 5, locations = 9;
  for (Index images : {1, 3})
    for (Index heads : {1, 2, 4}) {
      INFO("images ", images, ", heads ", heads);
      Index const width = heads * size, rows = images * locations, square = locations * locations;
      Memory<T> const queries(rows * width, "q"), keys(rows * width, "k");
      Memory<T> scores(images * heads * square, "s"), out(rows * width, "o");
      auto const batch = [&](Memory<T> const& memory) {
        return Batch<T>({memory.data.data(), locations, size, width}, images, locations * width, heads, size);
      };
      Batch<T> const weights({scores.data.data(), locations, locations}, images, heads * square, heads, square);
      for (Index i = 0; i < images * heads; ++i) {
        Place const each{i / heads * locations * width + i % heads * size, locations, size, width};
        Place const score{i * square, locations, locations, locations};
        naive(Op::none, Op::transpose, 0.5, queries.host, each, keys.host, each, 0, scores.host, score);
        naive(Op::transpose, Op::none, 1, scores.host, score, keys.host, each, 1, out.host, each);
      }
      dchag::linalg::batched_gemm(fixture.context, Op::none, Op::transpose, T(0.5), batch(queries), batch(keys), T{0},
                                  weights);
      dchag::linalg::batched_gemm(fixture.context, Op::transpose, Op::none, T{1}, weights, batch(keys), T{1},
                                  batch(out));
      Kokkos::fence();
      check_equal<T>(scores.now(), scores.host);
      check_equal<T>(out.now(), out.host);
    }
}

TEST_CASE_TEMPLATE("batched gemm of products that are cut into blocks", T, float, double) {
  Fixture const fixture;
  Index const count = 3, rows = 70, inner = 200, columns = 290;
  for (Op a_op : both) {
    Place a{0, rows, inner, inner}, b{0, inner, columns, columns}, c{0, rows, columns, columns + 1};
    if (a_op == Op::transpose) a = {0, inner, rows, rows};
    Index const a_step = rows * inner, b_step = inner * columns, c_step = rows * (columns + 1);
    Memory<T> const left(count * a_step, "a"), right(count * b_step, "b");
    Memory<T> out(count * c_step, "c");
    for (Index i = 0; i < count; ++i)
      naive(a_op, Op::none, 1, left.host, shifted(a, i * a_step), right.host, shifted(b, i * b_step), 1, out.host,
            shifted(c, i * c_step));
    dchag::linalg::batched_gemm(fixture.context, a_op, Op::none, T{1}, Batch<T>(a.in(left), count, a_step),
                                Batch<T>(b.in(right), count, b_step), T{1}, Batch<T>(c.in(out), count, c_step));
    Kokkos::fence();
    check_equal<T>(out.now(), out.host);
  }
}

TEST_CASE_TEMPLATE("batched gemm broadcasts an operand whose distance is zero", T, float, double) {
  Fixture const fixture;
  Index const count = 5, rows = 40, columns = 6, inner = 7;  // more rows than columns: shared out by rows
  Memory<T> const left(rows * inner, "a"), right(count * inner * columns, "b");
  Memory<T> out(count * rows * columns, "c");
  for (Index i = 0; i < count; ++i)
    naive(Op::none, Op::none, 1, left.host, {0, rows, inner, inner}, right.host,
          shifted({0, inner, columns, columns}, i * inner * columns), 0, out.host,
          shifted({0, rows, columns, columns}, i * rows * columns));
  Matrix<T> const a(left.data.data(), rows, inner), b(right.data.data(), inner, columns),
      c(out.data.data(), rows, columns);
  dchag::linalg::batched_gemm(fixture.context, Op::none, Op::none, T{1}, Batch<T>(a, count, 0),
                              Batch<T>(b, count, inner * columns), T{0}, Batch<T>(c, count, rows * columns));
  Kokkos::fence();
  check_equal<T>(out.now(), out.host);
}

TEST_CASE_TEMPLATE("summed gemm adds up the products of a batch in every transposition", T, float, double) {
  Fixture const fixture;
  Index const count = 4, inner = 6;
  for (auto const& shape : {std::pair<Index, Index>{50, 7}, {7, 50}, {1, 1}, {33, 1}})
    for (Op a_op : both)
      for (Op b_op : both)
        for (double beta : {0.0, 1.0, 0.5}) {
          Index const rows = shape.first, columns = shape.second;
          INFO(rows, " x ", columns, ", beta ", beta);
          Place a{0, rows, inner, inner + 3}, b{0, inner, columns, columns + 2}, c{1, rows, columns, columns + 4};
          if (a_op == Op::transpose) a = {0, inner, rows, rows + 3};
          if (b_op == Op::transpose) b = {0, columns, inner, inner + 2};
          Index const a_step = a.rows * a.stride, b_step = b.rows * b.stride;
          Memory<T> const left(count * a_step, "a"), right(count * b_step, "b");
          Memory<T> out(1 + rows * c.stride, "c");
          for (Index i = 0; i < count; ++i)
            naive(a_op, b_op, 1.5, left.host, shifted(a, i * a_step), right.host, shifted(b, i * b_step),
                  i == 0 ? beta : 1, out.host, c);
          dchag::linalg::summed_gemm(fixture.context, a_op, b_op, T(1.5), Batch<T>(a.in(left), count, a_step),
                                     Batch<T>(b.in(right), count, b_step), static_cast<T>(beta), c.in(out));
          Kokkos::fence();
          check_equal<T>(out.now(), out.host);
        }
}

TEST_CASE("batches of different lengths are refused and empty ones do nothing") {
  Fixture const fixture;
  float* const none = nullptr;
  Matrix<float> const one(none, 4, 4);
  auto const product = [&](Index a, Index b, Index c) {
    dchag::linalg::batched_gemm(fixture.context, Op::none, Op::none, 1.0f, Batch<float>(one, a, 16),
                                Batch<float>(one, b, 16), 0.0f, Batch<float>(one, c, 16));
  };
  CHECK_THROWS_AS(product(2, 3, 2), dchag::Error);
  CHECK_THROWS_AS(product(2, 2, 3), dchag::Error);
  CHECK_NOTHROW(product(0, 0, 0));
}

TEST_CASE("products over sizes alone touch nothing") {
  dchag::Workspace<Space> workspace;
  dchag::Context<Space> const context(workspace);
  float* const none = nullptr;
  Matrix<float> const one(none, 4, 4);
  CHECK_NOTHROW(dchag::linalg::gemm(context, Op::none, Op::none, 1.0f, one, one, 0.0f, one));
  Batch<float> const many(one, 3, 16);
  CHECK_NOTHROW(dchag::linalg::batched_gemm(context, Op::none, Op::none, 1.0f, many, many, 0.0f, many));
  CHECK_NOTHROW(dchag::linalg::summed_gemm(context, Op::none, Op::none, 1.0f, many, many, 0.0f, one));
}
