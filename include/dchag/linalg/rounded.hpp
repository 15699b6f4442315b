#pragma once

#include <cstdint>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/linalg/matrix.hpp>
#include <type_traits>

namespace dchag::linalg {

/// The bits of a bfloat16: the upper half of those of a float.
using Bfloat16 = std::uint16_t;

/// The nearest bfloat16, ties to even, as IEEE 754 rounds: what is beyond the largest finite one becomes infinite, NaN
/// stays NaN.
KOKKOS_INLINE_FUNCTION Bfloat16 to_bfloat16(float value) {
  auto const bits = Kokkos::bit_cast<std::uint32_t>(value);
  std::uint32_t const rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  bool const nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<Bfloat16>((nan ? bits | 0x400000u : rounded) >> 16);
}
KOKKOS_INLINE_FUNCTION float from_bfloat16(Bfloat16 value) {
  return Kokkos::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

namespace detail {

KOKKOS_INLINE_FUNCTION void store_rounded(float* to, float value) { *to = from_bfloat16(to_bfloat16(value)); }
KOKKOS_INLINE_FUNCTION void store_rounded(Bfloat16* to, float value) { *to = to_bfloat16(value); }

/// Rounds the numbers of a batch into one of the same extents. Extents that follow each other in both are one.
template <class U, bool host>
class RoundNumbers {
 public:
  RoundNumbers(Batch<float const> const& from, Batch<U> const& to) : from_(from.first.data), to_(to.first.data) {
    add(from.first.columns, 1, 1);
    add(from.first.rows, from.first.stride, to.first.stride);
    add(from.inner, from.inner_stride, to.inner_stride);
    add(from.outer, from.outer_stride, to.outer_stride);
    parts_ = ceil_div(extent_[0], most);
  }

  Index items() const {
    Index items = parts_;
    for (int i = 1; i < count_; ++i) items *= extent_[i];
    return items;
  }

  KOKKOS_FUNCTION void operator()(Index item) const {
    Index part = item;
    float const* from = from_;
    U* to = to_;
    if (count_ > 1) {
      part = item % parts_;
      Index rest = item / parts_;
      for (int i = 1; i < count_; ++i) {
        Index const at = i + 1 < count_ ? rest % extent_[i] : rest;
        if (i + 1 < count_) rest /= extent_[i];
        from += at * from_step_[i];
        to += at * to_step_[i];
      }
    }
    // A host thread takes numbers side by side; threads of a device do together.
    Index const first = host ? part * most : part, step = host ? 1 : parts_;
    Index const end = host ? Kokkos::min(extent_[0], first + most) : extent_[0];
    for (Index i = first; i < end; i += step) store_rounded(to + i, from[i]);
  }

 private:
  static constexpr Index most = host ? 4096 : 4;  // numbers of an item

  void add(Index extent, Index from_step, Index to_step) {
    if (extent == 1 && count_ > 0) return;
    int const last = count_ - 1;
    if (count_ > 0 && from_step == extent_[last] * from_step_[last] && to_step == extent_[last] * to_step_[last]) {
      extent_[last] *= extent;
      return;
    }
    extent_[count_] = extent;
    from_step_[count_] = from_step;
    to_step_[count_++] = to_step;
  }

  float const* from_;
  U* to_;
  Index extent_[4] = {}, from_step_[4] = {}, to_step_[4] = {}, parts_ = 0;
  int count_ = 0;
};

template <class U, class Space>
void round_numbers(Context<Space> const& context, Batch<float const> const& from, Batch<U> const& to) {
  RoundNumbers<U, on_host<Space>> const body(from, to);
  double const numbers = static_cast<double>(from.count()) * static_cast<double>(from.first.rows * from.first.columns);
  context.loop("dchag::round_to_bfloat16", body.items(), body,
               {numbers * static_cast<double>(sizeof(float) + sizeof(U)), 0});
}

/// Rounded copies on the workspace, each matrix of the batch once, one behind the other.
template <class U, class Space>
Batch<U const> rounded(Context<Space> const& context, Batch<float const> of) {
  Index const outer = of.outer, inner = of.inner;
  if (of.outer_stride == 0) of.outer = 1;
  if (of.inner_stride == 0) of.inner = 1;
  Index const rows = of.first.rows, columns = of.first.columns, size = rows * columns;
  U* const data = context.workspace().template push<U*>(of.count() * size).data();
  Batch<U> copies({data, rows, columns}, of.outer, of.outer == 1 ? 0 : of.inner * size, of.inner,
                  of.inner == 1 ? 0 : size);
  round_numbers(context, of, copies);
  copies.outer = outer;
  copies.inner = inner;
  return copies;
}

/// Rounded copies of all matrices of a batch as one matrix: beside or below each other.
template <class U, class Space>
Matrix<U const> joined(Context<Space> const& context, Batch<float const> const& of, bool beside) {
  Index const rows = of.first.rows, columns = of.first.columns, count = of.count(), size = rows * columns;
  U* const data = context.workspace().template push<U*>(count * size).data();
  Index const stride = beside ? count * columns : columns, step = beside ? columns : size;
  round_numbers<U>(context, of, {{data, rows, columns, stride}, of.outer, of.inner * step, of.inner, step});
  return beside ? Matrix<U const>{data, rows, count * columns} : Matrix<U const>{data, count * rows, columns};
}

}  // namespace detail
}  // namespace dchag::linalg
