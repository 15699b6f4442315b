#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <dchag/core/error.hpp>
#include <limits>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dchag {

static_assert(std::endian::native == std::endian::little, "dchag/io reads and writes little-endian files in place");
static_assert(sizeof(std::size_t) == 8, "dchag/io addresses files beyond 2 GiB: it needs a 64-bit build");

/// Element types of stored tensors, by their safetensors names.
enum class Dtype { BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, U16, F16, BF16, I32, U32, F32, I64, U64, F64 };

namespace detail {

struct DtypeFacts {
  std::string_view name;
  std::size_t bytes;
};

inline constexpr std::array<DtypeFacts, 15> dtype_facts{{{"BOOL", 1},
                                                         {"U8", 1},
                                                         {"I8", 1},
                                                         {"F8_E5M2", 1},
                                                         {"F8_E4M3", 1},
                                                         {"I16", 2},
                                                         {"U16", 2},
                                                         {"F16", 2},
                                                         {"BF16", 2},
                                                         {"I32", 4},
                                                         {"U32", 4},
                                                         {"F32", 4},
                                                         {"I64", 8},
                                                         {"U64", 8},
                                                         {"F64", 8}}};

inline std::string shape_text(std::vector<std::size_t> const& shape) {
  std::ostringstream text;
  text << '[';
  for (std::size_t i = 0; i < shape.size(); ++i) text << (i == 0 ? "" : ", ") << shape[i];
  text << ']';
  return text.str();
}

/// Bytes of an array; nothing where they exceed 64 bits.
inline std::optional<std::uint64_t> array_bytes(std::vector<std::size_t> const& shape, std::size_t element_bytes) {
  std::uint64_t bytes = element_bytes;
  for (std::uint64_t const extent : shape) {
    if (extent != 0 && bytes > std::numeric_limits<std::uint64_t>::max() / extent) return {};
    bytes *= extent;
  }
  return bytes;
}

template <class T>
struct Bits {
  T bits;
};
struct HalfBits : Bits<std::uint16_t> {};
struct BrainBits : Bits<std::uint16_t> {};

inline float widen(HalfBits half) {
  unsigned const sign = (half.bits & 0x8000u) << 16, exponent = (half.bits >> 10) & 31u, fraction = half.bits & 0x3FFu;
  if (exponent == 0) return std::copysign(std::ldexp(static_cast<float>(fraction), -24), sign != 0 ? -1.f : 1.f);
  return std::bit_cast<float>(sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | (fraction << 13));
}
inline float widen(BrainBits brain) { return std::bit_cast<float>(std::uint32_t{brain.bits} << 16); }
template <class T>
T widen(T value) {
  return value;
}

}  // namespace detail

inline std::string_view name_of(Dtype dtype) { return detail::dtype_facts[static_cast<std::size_t>(dtype)].name; }

inline std::size_t bytes_of(Dtype dtype) { return detail::dtype_facts[static_cast<std::size_t>(dtype)].bytes; }

inline std::optional<Dtype> dtype_named(std::string_view name) {
  for (std::size_t i = 0; i < detail::dtype_facts.size(); ++i) {
    if (detail::dtype_facts[i].name == name) return static_cast<Dtype>(i);
  }
  return {};
}

inline bool is_floating(Dtype dtype) {
  return dtype == Dtype::F64 || dtype == Dtype::F32 || dtype == Dtype::F16 || dtype == Dtype::BF16;
}

/// What T is stored as: float, double, or an integer of 8 to 64 bits.
template <class T>
requires(std::floating_point<T> || std::integral<T>) && (!std::same_as<T, bool>)constexpr Dtype dtype_of() {
  if constexpr (std::floating_point<T>) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "float and double are stored, long double is not");
    return sizeof(T) == 4 ? Dtype::F32 : Dtype::F64;
  } else if constexpr (std::signed_integral<T>) {
    return std::array{Dtype::I8, Dtype::I16, Dtype::I32, Dtype::I64}[std::bit_width(sizeof(T)) - 1];
  } else {
    return std::array{Dtype::U8, Dtype::U16, Dtype::U32, Dtype::U64}[std::bit_width(sizeof(T)) - 1];
  }
}

/// Whether decode can give elements of this type as T: every type but the 8-bit floats as float or double (rounded to
/// nearest where T is narrower), an integer type only as itself, BOOL also as std::uint8_t.
template <class T>
bool decodes_to(Dtype dtype) {
  bool const eight_bit_float = dtype == Dtype::F8_E5M2 || dtype == Dtype::F8_E4M3;
  if constexpr (std::floating_point<T>) return !eight_bit_float;
  return dtype == dtype_of<T>() || (dtype == Dtype::BOOL && dtype_of<T>() == Dtype::U8);
}

/// Calls use(value) with each element of the bytes in turn, as T. Requires decodes_to<T>(dtype).
template <class T, class Use>
void decode(Dtype dtype, std::span<std::byte const> bytes, Use&& use) {
  auto const each = [&]<class Stored>(Stored value) {
    if constexpr (std::floating_point<T> || std::same_as<T, Stored>) {
      for (std::size_t at = 0; at + sizeof(Stored) <= bytes.size(); at += sizeof(Stored)) {
        std::memcpy(&value, bytes.data() + at, sizeof(Stored));
        use(static_cast<T>(detail::widen(value)));
      }
    }
  };
  require(decodes_to<T>(dtype), name_of(dtype), " elements cannot be read as ", name_of(dtype_of<T>()));
  switch (dtype) {
    case Dtype::BOOL:
    case Dtype::U8:
      return each(std::uint8_t{});
    case Dtype::I8:
      return each(std::int8_t{});
    case Dtype::I16:
      return each(std::int16_t{});
    case Dtype::U16:
      return each(std::uint16_t{});
    case Dtype::F16:
      return each(detail::HalfBits{});
    case Dtype::BF16:
      return each(detail::BrainBits{});
    case Dtype::I32:
      return each(std::int32_t{});
    case Dtype::U32:
      return each(std::uint32_t{});
    case Dtype::F32:
      return each(float{});
    case Dtype::I64:
      return each(std::int64_t{});
    case Dtype::U64:
      return each(std::uint64_t{});
    case Dtype::F64:
      return each(double{});
    case Dtype::F8_E5M2:
    case Dtype::F8_E4M3:
      break;
  }
}

}  // namespace dchag
