#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "damping.hpp"
#include "inputs.hpp"

namespace sea {

/// A linear forecast of what damped persistence leaves, one set of coefficients for all cells: from the departures of
/// the last months at a cell, and of the last one in the 5 x 5 cells around it.
class PooledRidge {
 public:
  static constexpr std::size_t around = 25, count = lags + around;

  /// Fitted to the training part; the penalty is a share of the mean square of the predictors.
  PooledRidge(Departures const& departures, double penalty) : departures_(&departures) {
    Fields const& fields = departures.fields();
    std::vector<double> matrix(count * count), sides(leads * count);
    for (std::size_t const start : starts_of(Part::train)) {
      for (std::size_t cell = 0; cell < Fields::cells; ++cell) {
        if (!fields.sea(cell)) continue;
        auto const x = predictors(start, cell);
        double const weight = std::cos(fields.grid().latitudes()[cell / Fields::columns] * std::acos(-1.0) / 180);
        for (std::size_t i = 0; i < count; ++i)
          for (std::size_t j = 0; j <= i; ++j) matrix[i * count + j] += weight * x[i] * x[j];
        for (std::size_t lead = 0; lead < leads; ++lead) {
          double const left =
              departures(start + lead + 1, cell) - departures.damping(lead, cell) * departures(start, cell);
          for (std::size_t i = 0; i < count; ++i) sides[lead * count + i] += weight * x[i] * left;
        }
      }
    }
    double trace = 0;
    for (std::size_t i = 0; i < count; ++i) trace += matrix[i * count + i];
    for (std::size_t i = 0; i < count; ++i) matrix[i * count + i] += penalty * trace / count;
    factorise(matrix);
    for (std::size_t lead = 0; lead < leads; ++lead) solve(matrix, sides.data() + lead * count);
    coefficients_ = sides;
  }

  double operator()(std::size_t start, std::size_t lead, std::size_t cell) const {
    auto const x = predictors(start, cell);
    double sum = departures_->damping(lead, cell) * (*departures_)(start, cell);
    for (std::size_t i = 0; i < count; ++i) sum += coefficients_[lead * count + i] * x[i];
    return sum;
  }

 private:
  std::array<double, count> predictors(std::size_t start, std::size_t cell) const {
    std::array<double, count> x{};
    std::size_t at = 0;
    for (std::size_t lag = 0; lag < lags; ++lag) x[at++] = (*departures_)(start - lag, cell);
    int const row = static_cast<int>(cell / Fields::columns), column = static_cast<int>(cell % Fields::columns);
    constexpr int rows = Fields::rows, columns = Fields::columns;
    for (int r = row - 2; r <= row + 2; ++r)
      for (int c = column - 2; c <= column + 2; ++c, ++at)
        if (r >= 0 && r < rows && (r != row || c != column))
          x[at] = (*departures_)(start, static_cast<std::size_t>(r * columns + (c + columns) % columns));
    x[lags + around / 2] = 1;  // the cell itself is among the lags
    return x;
  }

  /// Cholesky's, in the lower triangle.
  static void factorise(std::vector<double>& a) {
    for (std::size_t j = 0; j < count; ++j)
      for (std::size_t i = j; i < count; ++i) {
        double sum = a[i * count + j];
        for (std::size_t k = 0; k < j; ++k) sum -= a[i * count + k] * a[j * count + k];
        a[i * count + j] = i == j ? std::sqrt(sum) : sum / a[j * count + j];
      }
  }
  static void solve(std::vector<double> const& a, double* x) {
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < i; ++k) x[i] -= a[i * count + k] * x[k];
      x[i] /= a[i * count + i];
    }
    for (std::size_t i = count; i-- > 0;) {
      for (std::size_t k = i + 1; k < count; ++k) x[i] -= a[k * count + i] * x[k];
      x[i] /= a[i * count + i];
    }
  }

  Departures const* departures_;
  std::vector<double> coefficients_;  // [leads, count]
};

}  // namespace sea
