#include <doctest/doctest.h>

#include <algorithm>
#include <dchag/core/lanes.hpp>

#include "space.hpp"

using dchag::tests::Space;

TEST_CASE_TEMPLATE("a register holds as many values as the machine's vectors", T, float, double) {
  constexpr int lanes = dchag::lane_count<T, Space>;
  using L = dchag::Lanes<T, lanes>;
  CHECK(sizeof(L) == static_cast<std::size_t>(lanes) * sizeof(T));
  if (dchag::on_host<Space> && dchag::vector_bytes > 0) CHECK(sizeof(L) == dchag::vector_bytes);
  CHECK(sizeof(dchag::Lanes<T, 1>) == sizeof(T));
}

TEST_CASE_TEMPLATE("lanes are loaded and stored at any address, and computed side by side", T, float, double) {
  constexpr int lanes = dchag::lane_count<T, Space>;
  using L = dchag::Lanes<T, lanes>;
  T from[lanes + 1], to[lanes + 2] = {};
  for (int i = 0; i <= lanes; ++i) from[i] = static_cast<T>(i * i - 5);
  L const loaded = dchag::load<L>(from + 1);
  dchag::store(to + 1, loaded * loaded + dchag::broadcast<L>(T(0.5)));
  for (int i = 1; i <= lanes; ++i) CHECK(to[i] == from[i] * from[i] + T(0.5));
  CHECK(to[0] == 0);
  CHECK(to[lanes + 1] == 0);
  T total = 0;
  for (int i = 1; i <= lanes; ++i) total += from[i];
  CHECK(dchag::sum_lanes(loaded, from) == doctest::Approx(total));
  dchag::store(to + 1, dchag::max(loaded, dchag::broadcast<L>(T(3))));
  for (int i = 1; i <= lanes; ++i) CHECK(to[i] == std::max(from[i], T(3)));
}

TEST_CASE_TEMPLATE("a register of one value is the value", T, float, double) {
  T const seven = 7;
  CHECK(dchag::load<T>(&seven) == 7);
  CHECK(dchag::broadcast<T>(seven) == 7);
  CHECK(dchag::sum_lanes(seven, &seven) == 7);
  CHECK(dchag::max(seven, T(9)) == 9);
}

TEST_CASE_TEMPLATE("a square of registers is transposed", T, float, double) {
  constexpr int lanes = dchag::lane_count<T, Space>;
  using L = dchag::Lanes<T, lanes>;
  T from[lanes * lanes], to[lanes * lanes];
  for (int i = 0; i < lanes * lanes; ++i) from[i] = static_cast<T>(i);
  L square[lanes];
  for (int i = 0; i < lanes; ++i) square[i] = dchag::load<L>(from + i * lanes);
  dchag::transpose_lanes<T>(square);
  for (int i = 0; i < lanes; ++i) dchag::store(to + i * lanes, square[i]);
  for (int i = 0; i < lanes; ++i)
    for (int j = 0; j < lanes; ++j) CHECK(to[i * lanes + j] == from[j * lanes + i]);
}

TEST_CASE_TEMPLATE("rows are turned into columns, and nothing else is written", T, float, double) {
  constexpr int lanes = dchag::lane_count<T, Space>;
  constexpr dchag::Index most = 29, step = lanes + 3;
  T from[lanes * 2 * most];
  for (int i = 0; i < lanes * 2 * most; ++i) from[i] = static_cast<T>(i + 1);
  for (dchag::Index count : {0, 1, 4, 13, 29}) {
    INFO(count, " columns");
    T to[(most + 1) * step] = {};
    auto const row = [&](int lane) { return from + lane * 2 * most; };
    dchag::turn_rows<lanes>(row, count, to, step);
    for (dchag::Index k = 0; k <= most; ++k)
      for (int lane = 0; lane < step; ++lane)
        CHECK(to[k * step + lane] == (k < count && lane < lanes ? row(lane)[k] : T{0}));
  }
}
