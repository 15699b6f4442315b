#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace dchag::testing {

/// What a loss is differentiated by: a tensor and its analytic gradient, both `size` contiguous doubles of the space.
template <class Space>
struct Differentiated {
  std::string name;
  double* values;
  double const* gradients;
  Index size;
};

struct FiniteDifferenceOptions {
  double step = 1e-4;      // of a central difference of fourth order, relative to the size of the values
  int directions = 2;      // random directions through the whole of each tensor
  int elements = 6;        // single elements of each tensor (all, of a smaller one)
  std::uint64_t seed = 1;  // of the directions and the choice of elements
};

/// The worst disagreement found.
struct FiniteDifferenceReport {
  double error = 0;       // |numeric - analytic| relative to the larger of them and of what is typical of the tensor
  std::string parameter;  // where
  Index element = -1;     // -1: along a random direction
  double analytic = 0, numeric = 0;
  Index checks = 0;  // derivatives compared

  friend std::ostream& operator<<(std::ostream& out, FiniteDifferenceReport const& report) {
    out << report.checks << " derivatives, worst error " << report.error << " at " << report.parameter;
    if (report.element < 0)
      out << " along a random direction";
    else
      out << "[" << report.element << "]";
    return out << ": analytic " << report.analytic << ", numeric " << report.numeric;
  }
};

namespace detail {

template <class Space>
std::vector<double> to_host(double const* data, Index size) {
  std::vector<double> result(static_cast<std::size_t>(size));
  using HostView = Kokkos::View<double*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
  Kokkos::deep_copy(HostView(result.data(), result.size()), reshape<double const*, Space>(data, size));
  return result;
}

template <class Space>
void to_space(std::vector<double> const& from, double* to) {
  using HostView = Kokkos::View<double const*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
  Kokkos::deep_copy(reshape<double*, Space>(to, static_cast<Index>(from.size())), HostView(from.data(), from.size()));
}

inline double norm(std::vector<double> const& values) {
  double total = 0;
  for (double value : values) total += value * value;
  return std::sqrt(total);
}
inline double root_mean_square(std::vector<double> const& values) {
  return values.empty() ? 0 : norm(values) / std::sqrt(static_cast<double>(values.size()));
}

/// The derivative of the loss as `tensor` moves from `values` along `direction`.
template <class Space, class Loss>
double numeric_derivative(Differentiated<Space> const& tensor, std::vector<double> const& values,
                          std::vector<double> const& direction, double step, Loss const& loss) {
  auto const moved = [&](double distance) {
    std::vector<double> point = values;
    for (std::size_t i = 0; i < point.size(); ++i) point[i] += distance * direction[i];
    to_space<Space>(point, tensor.values);
    return static_cast<double>(loss());
  };
  double const near = moved(step) - moved(-step), far = moved(2 * step) - moved(-2 * step);
  to_space<Space>(values, tensor.values);
  return (8 * near - far) / (12 * step);
}

}  // namespace detail

/// Compares analytic gradients with central differences of `loss`, a callable that runs forward from the tensors'
/// present values and returns the scalar whose gradients they are. The values are as before afterwards.
///
/// A derivative's error is relative to the largest of itself, the root mean square of its tensor's gradient times the
/// length of the direction, and a thousandth of that of the tensor whose gradient is largest. For smooth losses of
/// order one, expect below 1e-7.
template <class Space, class Loss>
FiniteDifferenceReport check_gradients(std::vector<Differentiated<Space>> const& tensors, Loss const& loss,
                                       FiniteDifferenceOptions const& options = {}) {
  std::vector<std::vector<double>> gradients;
  double largest = 0;
  for (auto const& tensor : tensors) {
    gradients.push_back(detail::to_host<Space>(tensor.gradients, tensor.size));
    largest = std::max(largest, detail::root_mean_square(gradients.back()));
  }
  FiniteDifferenceReport report;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    auto const& tensor = tensors[t];
    auto const& gradient = gradients[t];
    auto const values = detail::to_host<Space>(tensor.values, tensor.size);
    double const typical = std::max(detail::root_mean_square(gradient), 1e-3 * largest);
    double const step = options.step * std::max(0.1, detail::root_mean_square(values));
    auto const compare = [&](std::vector<double> const& direction, Index element) {
      double analytic = 0;
      for (std::size_t i = 0; i < gradient.size(); ++i)
        if (direction[i] != 0) analytic += gradient[i] * direction[i];
      double const numeric = detail::numeric_derivative(tensor, values, direction, step, loss);
      double const scale = std::max({std::fabs(analytic), std::fabs(numeric), typical * detail::norm(direction)});
      double const error = analytic == numeric ? 0 : std::fabs(analytic - numeric) / scale;
      ++report.checks;
      if (report.checks == 1 || (!std::isnan(report.error) && !(error <= report.error)))
        report = {error, tensor.name, element, analytic, numeric, report.checks};
    };
    std::uint64_t const key = random_key(options.seed, tensor.name);
    std::vector<double> direction(gradient.size());
    for (int d = 0; d < options.directions && tensor.size > 0; ++d) {
      for (std::size_t i = 0; i < direction.size(); ++i)
        direction[i] = random_normal(key, i + direction.size() * static_cast<std::uint64_t>(d));
      compare(direction, -1);
    }
    for (Index e = 0; e < std::min<Index>(options.elements, tensor.size); ++e) {
      Index const drawn = static_cast<Index>(random_bits(~key, static_cast<std::uint64_t>(e)) % gradient.size());
      Index const element = tensor.size <= options.elements ? e : drawn;
      std::fill(direction.begin(), direction.end(), 0.0);
      direction[static_cast<std::size_t>(element)] = 1;
      compare(direction, element);
    }
  }
  return report;
}

/// The same for every parameter, by the gradients that it holds.
template <class Space, class Loss>
FiniteDifferenceReport check_gradients(Parameters<double, Space> const& parameters, Loss const& loss,
                                       FiniteDifferenceOptions const& options = {}) {
  require(parameters.allocated(), "check_gradients: the parameters have no values: call allocate() before");
  std::vector<Differentiated<Space>> tensors;
  for (auto const& parameter : parameters.all())
    tensors.push_back({parameter.name, parameter.values, parameter.gradients, parameter.size()});
  return check_gradients(tensors, loss, options);
}

}  // namespace dchag::testing
