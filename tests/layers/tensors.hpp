#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/random.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/testing/finite_difference.hpp>
#include <string_view>
#include <vector>

#include "space.hpp"

// What the tests of layers share: matrices that own their storage, and plain copies of them in double on the host.
namespace dchag::tests {

template <class T>
struct Tensor {
  Index rows, columns;
  Kokkos::View<T**, Kokkos::LayoutRight, Space> view;

  Tensor(Index rows, Index columns)
      : rows(rows),
        columns(columns),
        view("tensor", static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)) {}

  /// Normal numbers, the same for the same name.
  Tensor(Index rows, Index columns, std::string_view name, double deviation = 1) : Tensor(rows, columns) {
    std::vector<double> values(static_cast<std::size_t>(rows * columns));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = deviation * random_normal(random_key(1, name), i);
    assign(values);
  }

  operator linalg::Matrix<T>() const { return {view.data(), rows, columns}; }
  operator linalg::Matrix<T const>() const { return {view.data(), rows, columns}; }

  void assign(std::vector<double> const& values) const {
    auto const mirror = Kokkos::create_mirror_view(view);
    for (std::size_t i = 0; i < values.size(); ++i) mirror.data()[i] = static_cast<T>(values[i]);
    Kokkos::deep_copy(view, mirror);
  }
  std::vector<double> host() const {
    auto const mirror = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
    return std::vector<double>(mirror.data(), mirror.data() + mirror.size());
  }
  testing::Differentiated<Space> by(std::string name, Tensor const& gradient) const requires std::same_as<T, double> {
    return {std::move(name), view.data(), gradient.view.data(), rows * columns};
  }
};

template <class T>
std::vector<double> host_copy(T const* data, Index size) {
  Kokkos::View<T*, Kokkos::HostSpace> copy("copy", static_cast<std::size_t>(size));
  Kokkos::deep_copy(copy, reshape<T const*, Space>(data, size));
  return std::vector<double>(copy.data(), copy.data() + size);
}

/// Largest difference over the largest magnitude of what is expected; infinite where it is not a number.
inline double difference(std::vector<double> const& found, std::vector<double> const& expected) {
  REQUIRE(found.size() == expected.size());
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    largest = std::max(largest, std::fabs(expected[i]));
    double const off = std::fabs(found[i] - expected[i]);
    if (std::isnan(off)) return INFINITY;
    worst = std::max(worst, off);
  }
  return worst / largest;
}

template <class T>
inline constexpr double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-12;

inline double dot(std::vector<double> const& a, std::vector<double> const& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

/// Runs body(context) over sizes alone, then with exactly the storage that this measured, which holds no numbers.
template <class Body>
void run(Body const& body) {
  Workspace<Space> workspace;
  Context<Space> const context(workspace);
  body(context);
  std::size_t const planned = workspace.peak();
  workspace.release(0);
  workspace.allocate(planned);
  auto* const words = workspace.template push<std::uint32_t*>(0).data();
  Kokkos::deep_copy(reshape<std::uint32_t*, Space>(words, planned / sizeof(std::uint32_t)), 0xffffffff);  // NaN
  body(context);
  Kokkos::fence();
  CHECK(workspace.peak() == planned);
}

/// Gives every parameter values that exercise its terms: no bias is zero and no gain is one.
template <class T>
void randomize(Parameters<T, Space>& parameters) {
  for (auto const& parameter : parameters.all()) {
    auto changed = parameter;
    double const last = static_cast<double>(parameter.shape.back());
    changed.initial = parameter.shape.size() > 1 ? normal(1 / std::sqrt(last)) : Initial{parameter.initial.mean, 0.3};
    Parameters<T, Space>::draw(changed, 7);
  }
  Kokkos::fence();
}

template <class T>
std::vector<double> value(Parameters<T, Space>& parameters, std::string_view name) {
  auto const* parameter = parameters.find(name);
  REQUIRE_MESSAGE(parameter != nullptr, std::string(name));
  return host_copy(parameter->values, parameter->size());
}

}  // namespace dchag::tests
