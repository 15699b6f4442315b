#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/linalg/gemm.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "linalg/memory.hpp"

using dchag::Context;
using dchag::Index;
using dchag::Pieces;
using dchag::Products;
using dchag::Work;
using dchag::WorkItem;
using dchag::Workspace;
using dchag::linalg::Batch;
using dchag::linalg::Bfloat16;
using dchag::linalg::Matrix;
using dchag::linalg::Op;
using dchag::tests::check_equal;
using dchag::tests::Memory;
using dchag::tests::naive;
using dchag::tests::Place;
using dchag::tests::shifted;
using dchag::tests::Space;

namespace {

constexpr Op ops[] = {Op::none, Op::transpose};

/// The nearest number of eight significant bits and the exponents of a float.
double nearest_bfloat16(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  int exponent = 0;
  std::frexp(value, &exponent);
  double const unit = std::ldexp(1.0, std::max(exponent, -125) - 8);
  double const rounded = std::nearbyint(value / unit) * unit, largest = std::ldexp(255.0, 120);
  return std::fabs(rounded) > largest ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}
std::vector<double> nearest_bfloat16(std::vector<double> values) {
  for (double& value : values) value = nearest_bfloat16(value);
  return values;
}

double back(float value) { return dchag::linalg::from_bfloat16(dchag::linalg::to_bfloat16(value)); }

/// run(context) over sizes, and then in a workspace of the bytes that this has asked for, which it fills.
template <class Run>
void run_measured(Run const& run) {
  Workspace<Space> workspace;
  run(Context<Space>(workspace).with(Products::bfloat16));
  std::size_t const bytes = workspace.peak();
  workspace.allocate(bytes);
  run(Context<Space>(workspace).with(Products::bfloat16));
  Kokkos::fence();
  CHECK(bytes > 0);
  CHECK(workspace.peak() == bytes);
  CHECK(workspace.used() == 0);
}

/// Of sums of `inner` products of numbers about one, as far as rounding both operands moves them: by at most 2^-8 of
/// each number, and by far more than float's rounding.
void check_rounding_shows(std::vector<double> const& found, std::vector<double> const& unrounded, Index inner) {
  double worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::fabs(found[i] - unrounded[i]));
  CHECK(worst > 1e-3);
  CHECK(worst < std::ldexp(static_cast<double>(inner), -7) * 4);
}

std::vector<WorkItem> items_of(std::vector<WorkItem> const& all, WorkItem::Kind kind) {
  std::vector<WorkItem> items;
  for (WorkItem const& item : all)
    if (item.kind == kind) items.push_back(item);
  return items;
}

}  // namespace

TEST_CASE("floats are rounded to the nearest bfloat16, ties to even") {
  Index wrong = 0;
  for (std::uint32_t upper = 0; upper < 1u << 16; ++upper)
    for (std::uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      auto const value = Kokkos::bit_cast<float>(upper << 16 | lower);
      double const expected = nearest_bfloat16(static_cast<double>(value)), found = back(value);
      bool const right = std::isnan(value)
                             ? std::isnan(found)
                             : found == expected && std::signbit(found) == std::signbit(static_cast<double>(value));
      if (!right) ++wrong;
    }
  CHECK(wrong == 0);

  CHECK(back(1.00390625f) == 1.0);         // half way between 1 and 1 + 2^-7
  CHECK(back(1.01171875f) == 1.015625);    // half way between 1 + 2^-7 and 1 + 2^-6
  CHECK(back(-1.0039064f) == -1.0078125);  // a little further
  float const infinity = std::numeric_limits<float>::infinity();
  CHECK(back(infinity) == infinity);
  CHECK(back(-infinity) == -infinity);
  CHECK(back(std::numeric_limits<float>::max()) == infinity);
  CHECK(back(0x1.fep127f) == 0x1.fep127f);
  CHECK(back(std::ldexp(1.0f, -133)) == std::ldexp(1.0, -133));  // the smallest
  CHECK(back(std::ldexp(1.0f, -134)) == 0);
  CHECK(back(std::ldexp(3.0f, -135)) == std::ldexp(1.0, -133));
}

TEST_CASE("products of bfloat16 are those of rounded operands, in every transposition") {
  for (Op a_op : ops)
    for (Op b_op : ops)
      for (auto const& [alpha, beta] : {std::pair<float, float>{1, 0}, {0.5f, 1}, {2, -0.25f}}) {
        Index const rows = 33, inner = 70, columns = 41;
        INFO("transposed ", a_op == Op::transpose, b_op == Op::transpose, ", beta ", beta);
        Place a{3, rows, inner, inner + 5}, b{1, inner, columns, columns + 2}, c{2, rows, columns, columns + 3};
        if (a_op == Op::transpose) a = {3, inner, rows, rows + 5};
        if (b_op == Op::transpose) b = {1, columns, inner, inner + 2};
        Memory<float> const left(100 * 100, "a"), right(100 * 100, "b");
        Memory<float> out(100 * 100, "c");
        std::vector<double> unrounded = out.host;
        naive(a_op, b_op, alpha, left.host, a, right.host, b, beta, unrounded, c);
        naive(a_op, b_op, alpha, nearest_bfloat16(left.host), a, nearest_bfloat16(right.host), b, beta, out.host, c);
        run_measured([&](Context<Space> const& context) {
          dchag::linalg::gemm(context, a_op, b_op, alpha, a.in(left), b.in(right), beta, c.in(out));
        });
        check_equal<float>(out.now(), out.host);
        check_rounding_shows(out.now(), unrounded, inner);
      }
}

TEST_CASE("products of bfloat16 of the heads of images, where they stand and with an operand that all images share") {
  Index const images = 3, heads = 2, size = 5, locations = 9, width = heads * size, square = locations * locations;
  for (Index distance : {locations * width, Index{0}}) {
    INFO("images are ", distance, " apart");
    Memory<float> const queries(images * locations * width, "q"), keys(images * locations * width, "k");
    Memory<float> scores(images * heads * square, "s"), out(images * locations * width, "o");
    for (Index i = 0; i < images * heads; ++i) {
      Place const query{i / heads * locations * width + i % heads * size, locations, size, width},
          key{i / heads * distance + i % heads * size, locations, size, width},
          score{i * square, locations, locations, locations};
      naive(Op::none, Op::transpose, 0.5, nearest_bfloat16(queries.host), query, nearest_bfloat16(keys.host), key, 0,
            scores.host, score);
    }
    Batch<float> const each_query({queries.data.data(), locations, size, width}, images, locations * width, heads,
                                  size),
        each_key({keys.data.data(), locations, size, width}, images, distance, heads, size),
        each_score({scores.data.data(), locations, locations}, images, heads * square, heads, square);
    run_measured([&](Context<Space> const& context) {
      dchag::linalg::batched_gemm(context, Op::none, Op::transpose, 0.5f, each_query, each_key, 0.0f, each_score);
    });
    check_equal<float>(scores.now(), scores.host);

    scores.host = scores.now();  // rounding would tell apart what differs in float's last bit
    for (Index i = 0; i < images * heads; ++i) {
      Place const each{i / heads * locations * width + i % heads * size, locations, size, width},
          key{i / heads * distance + i % heads * size, locations, size, width},
          score{i * square, locations, locations, locations};
      naive(Op::transpose, Op::none, 1, nearest_bfloat16(scores.host), score, nearest_bfloat16(keys.host), key, 1,
            out.host, each);
    }
    run_measured([&](Context<Space> const& context) {
      if (!context.dry()) Kokkos::fence();
      Batch<float> const each_out({out.data.data(), locations, size, width}, images, locations * width, heads, size);
      dchag::linalg::batched_gemm(context, Op::transpose, Op::none, 1.0f, each_score, each_key, 1.0f, each_out);
    });
    check_equal<float>(out.now(), out.host);
  }
}

TEST_CASE("sums of products of bfloat16 are those of rounded operands, in every transposition") {
  Index const count = 4, inner = 6;
  for (auto const& shape : {std::pair<Index, Index>{50, 7}, {7, 50}, {33, 1}})
    for (Op a_op : ops)
      for (Op b_op : ops) {
        Index const rows = shape.first, columns = shape.second;
        INFO(rows, " x ", columns, ", transposed ", a_op == Op::transpose, b_op == Op::transpose);
        Place a{0, rows, inner, inner + 3}, b{0, inner, columns, columns + 2}, c{1, rows, columns, columns + 4};
        if (a_op == Op::transpose) a = {0, inner, rows, rows + 3};
        if (b_op == Op::transpose) b = {0, columns, inner, inner + 2};
        Index const a_step = a.rows * a.stride, b_step = a_op == b_op ? b.rows * b.stride : 0;  // or all the same one
        Memory<float> const left(count * a_step, "a"), right(count * b.rows * b.stride, "b");
        Memory<float> out(1 + rows * c.stride, "c");
        std::vector<double> unrounded = out.host;
        for (Index i = 0; i < count; ++i) {
          float const beta = i == 0 ? 0.5f : 1;
          Place const a_i = shifted(a, i * a_step), b_i = shifted(b, i * b_step);
          naive(a_op, b_op, 1.5, left.host, a_i, right.host, b_i, beta, unrounded, c);
          naive(a_op, b_op, 1.5, nearest_bfloat16(left.host), a_i, nearest_bfloat16(right.host), b_i, beta, out.host,
                c);
        }
        run_measured([&](Context<Space> const& context) {
          dchag::linalg::summed_gemm(context, a_op, b_op, 1.5f, Batch<float>(a.in(left), count, a_step),
                                     Batch<float>(b.in(right), count, b_step), 0.5f, c.in(out));
        });
        check_equal<float>(out.now(), out.host);
        check_rounding_shows(out.now(), unrounded, count * inner);
      }
}

TEST_CASE("products of bfloat16 carry NaN and infinity, and read nothing from C where beta is zero") {
  Memory<float> left(6, "a"), right(6, "b");
  Memory<float> out(4, "c");
  left.fill(1);
  right.fill(1);
  out.fill(std::numeric_limits<double>::quiet_NaN());
  auto const multiply = [&] {
    run_measured([&](Context<Space> const& context) {
      dchag::linalg::gemm(context, Op::none, Op::none, 1.0f, {left.data.data(), 2, 3}, {right.data.data(), 3, 2}, 0.0f,
                          {out.data.data(), 2, 2});
    });
    return out.now();
  };
  CHECK(multiply() == std::vector<double>(4, 3));
  Kokkos::deep_copy(Kokkos::subview(left.data, 1), std::numeric_limits<float>::infinity());
  Kokkos::deep_copy(Kokkos::subview(left.data, 4), std::numeric_limits<float>::quiet_NaN());
  std::vector<double> const found = multiply();
  CHECK(found[0] == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(found[2]));
}

TEST_CASE("products of double are never rounded, and those without an inner extent scale C") {
  Workspace<Space> workspace(0);
  Context<Space> const context = Context<Space>(workspace).with(Products::bfloat16);
  CHECK(context.products() == Products::bfloat16);
  CHECK(Context<Space>(workspace).products() == Products::unrounded);
  Place const square{0, 8, 8, 8};
  Memory<double> const left(64, "a"), right(64, "b");
  Memory<double> out(64, "c");
  naive(Op::none, Op::none, 1, left.host, square, right.host, square, 0, out.host, square);
  dchag::linalg::gemm(context, Op::none, Op::none, 1.0, square.in(left), square.in(right), 0.0, square.in(out));
  Memory<float> scaled(6, "c");
  for (double& value : scaled.host) value *= 0.5;
  float* const none = nullptr;
  dchag::linalg::gemm(context, Op::none, Op::none, 1.0f, {none, 2, 0}, {none, 0, 3}, 0.5f, {scaled.data.data(), 2, 3});
  dchag::linalg::gemm(context, Op::none, Op::none, 1.0f, {none, 0, 4}, {none, 4, 3}, 0.5f, {none, 0, 3});
  Kokkos::fence();
  check_equal<double>(out.now(), out.host);
  check_equal<float>(scaled.now(), scaled.host);
}

TEST_CASE("the Work of a product of bfloat16 has its copies, each operand once, and says that it is rounded") {
  float* const none = nullptr;
  Index const count = 6, rows = 4, inner = 32, columns = 16;
  for (bool device : {false, true}) {
    Pieces::PlanDevice const pieces(device);
    double const held = device ? sizeof(Bfloat16) : sizeof(float);
    auto const tell = [&](Work& work, auto const& multiply) {
      Workspace<Space> workspace;
      multiply(Context<Space>(workspace, work).with(Products::bfloat16));
      return workspace.peak();
    };
    Batch<float> const shared({none, rows, inner}, count, 0), own({none, inner, columns}, count, inner * columns),
        result({none, rows, columns}, count, rows * columns);
    Work work;
    std::size_t const bytes = tell(work, [&](Context<Space> const& context) {
      dchag::linalg::batched_gemm(context, Op::none, Op::none, 1.0f, shared, own, 0.0f, result);
    });
    auto const loops = items_of(work.items(), WorkItem::Kind::loop);
    REQUIRE(loops.size() == 2);
    CHECK(loops[0].bytes == rows * inner * (4 + held));
    CHECK(loops[1].bytes == count * inner * columns * (4 + held));
    CHECK(static_cast<double>(bytes) == (rows * inner + count * inner * columns) * held);  // multiples of 128
    auto const products = items_of(work.items(), WorkItem::Kind::product);
    REQUIRE(products.size() == 1);
    CHECK(products[0].rounded);
    CHECK(products[0].count == count);
    CHECK(products[0].launches == (device ? 1 : count));
    CHECK(products[0].multiply_adds == count * rows * inner * columns);
    CHECK(products[0].bytes == count * ((rows * inner + inner * columns) * held + rows * columns * 4));

    Work sum;
    tell(sum, [&](Context<Space> const& context) {
      dchag::linalg::summed_gemm(context, Op::none, Op::none, 1.0f,
                                 Batch<float>({none, rows, inner}, count, rows * inner), own, 0.0f,
                                 {none, rows, columns});
    });
    auto const sums = items_of(sum.items(), WorkItem::Kind::product);
    REQUIRE(sums.size() == 1);
    CHECK(sums[0].rounded);
    CHECK(sums[0].launches == 1);
    CHECK(sums[0].multiply_adds == count * rows * inner * columns);
    CHECK(sums[0].inner == count * inner);
  }
  Work plain;
  Workspace<Space> workspace;
  dchag::linalg::gemm(Context<Space>(workspace, plain), Op::none, Op::none, 1.0f, {none, rows, inner},
                      {none, inner, columns}, 0.0f, {none, rows, columns});
  REQUIRE(plain.items().size() == 1);
  CHECK(!plain.items()[0].rounded);
  CHECK(workspace.peak() == 0);
}

TEST_CASE("a batch of floats is one call of a device's BLAS, and a sum of them one each") {
  if (!dchag::on_host<Space>) return;
  float* const none = nullptr;
  Index const count = 6, rows = 4, inner = 32, columns = 16;
  Batch<float> const left({none, rows, inner}, count, rows * inner), right({none, inner, columns}, count, 0);
  for (bool device : {false, true}) {
    Pieces::PlanDevice const pieces(device);
    Work work;
    Workspace<Space> workspace;
    Context<Space> const context(workspace, work);
    dchag::linalg::batched_gemm(context, Op::none, Op::none, 1.0f, left, right, 0.0f,
                                Batch<float>({none, rows, columns}, count, rows * columns));
    dchag::linalg::summed_gemm(context, Op::none, Op::none, 1.0f, left, right, 0.0f, {none, rows, columns});
    REQUIRE(work.items().size() == 2);
    CHECK(work.items()[0].launches == (device ? 1 : count));
    CHECK(work.items()[1].launches == count);
    for (auto const& item : work.items()) CHECK(item.count == count);
  }
}

TEST_CASE("batches take few calls of matrices at one distance, which cover each product once") {
  auto const at = [](Index number) { return reinterpret_cast<float*>(number * 4); };
  auto const batch = [&](Index outer, Index outer_stride, Index inner, Index inner_stride) {
    return Batch<float>({at(1 << 20), 2, 2}, outer, outer_stride, inner, inner_stride);
  };
  auto const calls = [&](Batch<float> const& a, Batch<float> const& b, Batch<float> const& c) {
    dchag::linalg::detail::BatchedProduct<float, float> const product{Op::none, Op::none, 1, a, b, 0, c};
    dchag::linalg::detail::Calls const found(product);
    std::vector<Index> numbers;
    bool distances = true;
    for (Index call = 0; call < found.count; ++call)
      for (Index j = 0; j < found.each; ++j) {
        numbers.push_back(call * found.first + j * found.step);
        for (auto const* operand : {&product.a, &product.b})
          distances = distances && operand->at(numbers.back()).data ==
                                       operand->at(call * found.first).data + j * found.distance(*operand, call);
        distances =
            distances && c.at(numbers.back()).data == c.at(call * found.first).data + j * found.distance(c, call);
      }
    CHECK(distances);
    std::sort(numbers.begin(), numbers.end());
    REQUIRE(static_cast<Index>(numbers.size()) == c.count());
    for (std::size_t i = 0; i < numbers.size(); ++i) CHECK(numbers[i] == static_cast<Index>(i));
    return found.count;
  };
  auto const compact = batch(3, 40, 10, 4), flat = batch(30, 4, 1, 0), same = batch(30, 0, 1, 0);
  CHECK(calls(batch(1, 0, 1, 0), batch(1, 0, 1, 0), batch(1, 0, 1, 0)) == 1);
  CHECK(calls(compact, flat, compact) == 1);
  CHECK(calls(same, batch(3, 0, 10, 0), flat) == 1);
  CHECK(calls(compact, flat, batch(3, 100, 10, 4)) == 3);
  CHECK(calls(batch(3, 0, 10, 4), same, batch(3, 4, 10, 12)) == 3);
  CHECK(calls(batch(10, 40, 3, 4), same, compact) == 3);
  CHECK(calls(compact, batch(10, 100, 3, 4), batch(10, 120, 3, 4)) == 3);
  CHECK(calls(batch(3, 100, 10, 4), batch(5, 100, 6, 4), flat) == 30);
}
