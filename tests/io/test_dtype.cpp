#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <dchag/io/dtype.hpp>
#include <span>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

template <class T, class Stored>
std::vector<T> decoded(Dtype dtype, std::vector<Stored> const& stored) {
  std::vector<T> values;
  decode<T>(dtype, std::as_bytes(std::span(stored)), [&](T value) { values.push_back(value); });
  return values;
}

TEST_CASE("every dtype is found by its name and has its width") {
  for (std::size_t i = 0; i < detail::dtype_facts.size(); ++i) {
    auto const dtype = static_cast<Dtype>(i);
    CHECK(dtype_named(name_of(dtype)) == dtype);
  }
  CHECK_FALSE(dtype_named("F31"));
  CHECK(name_of(Dtype::F64) == "F64");
  CHECK(name_of(Dtype::BF16) == "BF16");
  CHECK(bytes_of(Dtype::F16) == 2);
  CHECK(dtype_of<float>() == Dtype::F32);
  CHECK(dtype_of<double>() == Dtype::F64);
  CHECK(dtype_of<std::int8_t>() == Dtype::I8);
  CHECK(dtype_of<std::int64_t>() == Dtype::I64);
  CHECK(dtype_of<std::uint16_t>() == Dtype::U16);
  CHECK(dtype_of<std::size_t>() == Dtype::U64);
}

TEST_CASE("half floats widen exactly") {
  std::vector<std::uint16_t> const halves{0x0000, 0x8000, 0x3C00, 0xC000, 0x7BFF, 0x0400, 0x0001, 0x83FF, 0x3555};
  CHECK(decoded<double>(Dtype::F16, halves) == std::vector<double>{0.0, -0.0, 1.0, -2.0, 65504.0, std::ldexp(1.0, -14),
                                                                   std::ldexp(1.0, -24), -std::ldexp(1023.0, -24),
                                                                   0.333251953125});
  CHECK(std::signbit(decoded<float>(Dtype::F16, halves)[1]));
  auto const special = decoded<float>(Dtype::F16, std::vector<std::uint16_t>{0x7C00, 0xFC00, 0x7E00});
  CHECK(special[0] == INFINITY);
  CHECK(special[1] == -INFINITY);
  CHECK(std::isnan(special[2]));
  CHECK(decoded<float>(Dtype::BF16, std::vector<std::uint16_t>{0x3F80, 0xC000, 0x7F80}) ==
        std::vector<float>{1.f, -2.f, INFINITY});
}

TEST_CASE("integers are read as themselves or as floating-point numbers, never narrowed") {
  std::vector<std::int16_t> const stored{-3, 32767};
  CHECK(decoded<float>(Dtype::I16, stored) == std::vector<float>{-3.f, 32767.f});
  CHECK(decoded<std::int16_t>(Dtype::I16, stored) == stored);
  CHECK(decoded<std::uint8_t>(Dtype::BOOL, std::vector<std::uint8_t>{0, 1}) == std::vector<std::uint8_t>{0, 1});
  CHECK(holds(error_of([&] { decoded<std::int8_t>(Dtype::I16, stored); }), "I16 elements cannot be read as I8"));
  CHECK(holds(error_of([&] { decoded<int>(Dtype::F32, stored); }), "F32 elements cannot be read as I32"));
  CHECK(holds(error_of([&] { decoded<float>(Dtype::F8_E4M3, stored); }), "cannot be read"));
}

}  // namespace
}  // namespace dchag::tests
