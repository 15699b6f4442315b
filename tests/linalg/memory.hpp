#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/core/random.hpp>
#include <dchag/linalg/matrix.hpp>
#include <string>
#include <vector>

#include "space.hpp"

namespace dchag::tests {

using linalg::Matrix;
using linalg::Op;

/// Storage of the space and a copy of it on the host.
template <class T>
struct Memory {
  Kokkos::View<T*, Space> data;
  std::vector<double> host;

  Memory(Index size, std::string const& name) : data("memory", static_cast<std::size_t>(size)), host(data.size()) {
    auto const mirror = Kokkos::create_mirror_view(data);
    for (std::size_t i = 0; i < host.size(); ++i)
      host[i] = mirror(i) = static_cast<T>(random_normal(random_key(1, name), i));
    Kokkos::deep_copy(data, mirror);
  }
  void fill(double value) {
    Kokkos::deep_copy(data, static_cast<T>(value));
    std::fill(host.begin(), host.end(), value);
  }
  std::vector<double> now() const {
    auto const mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), data);
    return {mirror.data(), mirror.data() + mirror.size()};
  }
};

/// A matrix inside the memory, from its `offset`-th element on, as the library and as the naive product see it.
struct Place {
  Index offset, rows, columns, stride;

  template <class T>
  Matrix<T> in(Memory<T> const& memory) const {
    return {memory.data.data() + offset, rows, columns, stride};
  }
  std::size_t at(Index row, Index column) const { return static_cast<std::size_t>(offset + row * stride + column); }
};
inline Place shifted(Place place, Index by) {
  place.offset += by;
  return place;
}

/// c = alpha op(a) op(b) + beta c, in double.
inline void naive(Op a_op, Op b_op, double alpha, std::vector<double> const& a, Place pa, std::vector<double> const& b,
                  Place pb, double beta, std::vector<double>& c, Place pc) {
  Index const inner = a_op == Op::none ? pa.columns : pa.rows;
  for (Index i = 0; i < pc.rows; ++i)
    for (Index j = 0; j < pc.columns; ++j) {
      double total = 0;
      for (Index k = 0; k < inner; ++k)
        total += a[a_op == Op::none ? pa.at(i, k) : pa.at(k, i)] * b[b_op == Op::none ? pb.at(k, j) : pb.at(j, k)];
      double& out = c[pc.at(i, j)];
      out = alpha * total + (beta == 0 ? 0 : beta * out);
    }
}

template <class T>
void check_equal(std::vector<double> const& found, std::vector<double> const& expected) {
  REQUIRE(found.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    double const off = std::fabs(found[i] - expected[i]) / (1 + std::fabs(expected[i]));
    worst = off <= worst ? worst : off;
  }
  CHECK(worst < (sizeof(T) == 4 ? 2e-5 : 1e-13));
}

}  // namespace dchag::tests
