#pragma once

#include <dchag/core/lanes.hpp>
#include <dchag/linalg/matrix.hpp>
#include <type_traits>

namespace dchag::linalg {

/// to[j * step + i] = m[i, j]: the transpose in rows of `step` numbers, written by the calling thread of a host.
template <class T>
void turn(std::type_identity_t<Matrix<T const>> const& m, T* to, Index step) {
  constexpr int lanes = vector_bytes > 0 ? vector_bytes / static_cast<int>(sizeof(T)) : 1;
  Index i = 0;
  for (; i + lanes <= m.rows; i += lanes)
    turn_rows<lanes>([&](int lane) { return m.data + (i + lane) * m.stride; }, m.columns, to + i, step);
  for (; i < m.rows; ++i)
    for (Index j = 0; j < m.columns; ++j) to[j * step + i] = m.data[i * m.stride + j];
}

}  // namespace dchag::linalg
