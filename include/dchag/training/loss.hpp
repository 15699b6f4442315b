#pragma once

#include <cmath>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/training/detail/sums.hpp>
#include <type_traits>
#include <vector>

namespace dchag {

/// cos(latitude) of the row centres of a global grid from pole to pole, divided by their mean: [height].
inline std::vector<double> latitude_weights(Index height) {
  require(height > 0, "latitude_weights: height = ", height, ": give at least one row");
  std::vector<double> weights(static_cast<std::size_t>(height));
  double const degree = std::acos(-1.0) / 180;
  double sum = 0;
  for (Index row = 0; row < height; ++row) {
    double const latitude = -90 + (static_cast<double>(row) + 0.5) * 180 / static_cast<double>(height);
    sum += weights[static_cast<std::size_t>(row)] = std::cos(latitude * degree);
  }
  for (double& weight : weights) weight *= static_cast<double>(height) / sum;
  return weights;
}

namespace detail {

/// Rows of `columns` numbers, each with a factor: the sum over rows of factor * sum of squared differences, and its
/// gradient. factors[row % factor_count] is the factor of a row; without factors it is one.
template <class T>
struct SquaredError {
  T const *prediction, *target;
  Index columns;
  Chunks rows;
  T const* factors = nullptr;
  Index factor_count = 1;
  T* gradient = nullptr;            // may be the prediction; null where only the value is wanted
  double slope = 0;                 // gradient = slope * factor * (prediction - target) / divisor[0]
  double const* divisor = nullptr;  // one where null

  template <class Sum>
  KOKKOS_FUNCTION double operator()(Index chunk, Sum const& sum) const {
    double total = 0;
    double const scale = divisor == nullptr ? slope : divisor[0] > 0 ? slope / divisor[0] : 0.0;
    for (Index row = rows.begin(chunk); row < rows.end(chunk); ++row) {
      T const factor = factors == nullptr ? T{1} : factors[row % factor_count];
      T const *p = prediction + row * columns, *t = target + row * columns;
      T* const g = gradient == nullptr ? nullptr : gradient + row * columns;
      T const step = static_cast<T>(scale * static_cast<double>(factor));
      if (factor != T{0} && g != nullptr)
        total += static_cast<double>(factor) * sum(columns, [=](Index k) {
                   T const difference = p[k] - t[k];
                   g[k] = step * difference;
                   return static_cast<double>(difference) * static_cast<double>(difference);
                 });
      else if (factor != T{0})
        total += static_cast<double>(factor) * sum(columns, [=](Index k) {
                   double const difference = p[k] - t[k];
                   return difference * difference;
                 });
      else if (g != nullptr)
        total += sum(columns, [=](Index k) {
          g[k] = T{0};
          return 0.0;
        });
    }
    return total;
  }
};

template <class Space, class T>
double squared_error(Context<Space> const& context, SquaredError<T> const& error, double count) {
  auto scope = context.workspace().scope();
  auto const partial = push_partial_sums(context);
  sum_chunks(context, "dchag::loss::squared_error", error.rows.count, partial.data(), error);
  return total_of(context, partial, error.divisor) / count;
}

template <class T>
struct SumOfRows {
  T const* values;
  Chunks chunks;

  template <class Sum>
  KOKKOS_FUNCTION double operator()(Index chunk, Sum const& sum) const {
    T const* const first = values + chunks.begin(chunk);
    return sum(chunks.end(chunk) - chunks.begin(chunk), [=](Index k) { return static_cast<double>(first[k]); });
  }
};

template <class T, class Space>
double latitude_weighted_mse(Context<Space> const& context, View<T****, Space> const& prediction,
                             View<T const****, Space> const& target, View<T const*, Space> const& weights, double scale,
                             T* gradient) {
  Index const rows = static_cast<Index>(prediction.extent(0) * prediction.extent(1) * prediction.extent(2));
  Index const columns = static_cast<Index>(prediction.extent(3)), height = static_cast<Index>(prediction.extent(2));
  require(target.size() == prediction.size() && target.extent(2) == prediction.extent(2) &&
              target.extent(3) == prediction.extent(3),
          "latitude_weighted_mse: the target is not of the shape of the prediction");
  require(static_cast<Index>(weights.extent(0)) == height, "latitude_weighted_mse: ", weights.extent(0),
          " latitude weights for images of height ", height);
  double const count = static_cast<double>(rows * columns);
  SquaredError<T> error{prediction.data(), target.data(), columns, Chunks(rows), weights.data(), height, gradient};
  error.slope = 2 * scale / count;
  return squared_error(context, error, count);
}

template <class T, class Space>
double masked_mse(Context<Space> const& context, View<T**, Space> const& pixels, View<T const**, Space> const& target,
                  View<T const*, Space> const& hidden, double scale, T* gradient) {
  Index const rows = static_cast<Index>(pixels.extent(0)), columns = static_cast<Index>(pixels.extent(1));
  require(target.extent(0) == pixels.extent(0) && target.extent(1) == pixels.extent(1), "masked_mse: the target is [",
          target.extent(0), ", ", target.extent(1), "], the pixels are [", rows, ", ", columns, "]");
  require(static_cast<Index>(hidden.extent(0)) == rows, "masked_mse: ", hidden.extent(0), " rows of the mask for ",
          rows, " rows of pixels");
  auto scope = context.workspace().scope();
  auto const partial = push_partial_sums(context);
  auto const hidden_rows = context.workspace().template push<double*>(1);
  Chunks const chunks(rows);
  sum_chunks(context, "dchag::loss::hidden", chunks.count, partial.data(), SumOfRows<T>{hidden.data(), chunks});
  context.loop(
      "dchag::loss::hidden::total", 1, KOKKOS_LAMBDA(Index) {
        double total = 0;
        for (Index i = 0; i < partial_sums; ++i) total += partial(i);
        hidden_rows(0) = total;
      });
  SquaredError<T> error{pixels.data(), target.data(), columns, chunks, hidden.data(), Kokkos::max<Index>(rows, 1),
                        gradient};
  error.slope = 2 * scale / static_cast<double>(columns);
  error.divisor = hidden_rows.data();
  return squared_error(context, error, static_cast<double>(columns));
}

}  // namespace detail

/// mean over all elements of weights[h] (prediction - target)², of images [B, C, H, W] and one weight for each row [H].
/// Waits for the device; zero in a dry context.
template <class T, class Space>
double latitude_weighted_mse(Context<Space> const& context, View<T****, Space> const& prediction,
                             std::type_identity_t<View<T const****, Space>> const& target,
                             std::type_identity_t<View<T const*, Space>> const& weights) {
  return detail::latitude_weighted_mse<T, Space>(context, prediction, target, weights, 0, nullptr);
}

/// The same, and in the same pass gradient = scale * d(loss)/d(prediction), which may be the prediction itself.
template <class T, class Space>
double latitude_weighted_mse(Context<Space> const& context, View<T****, Space> const& prediction,
                             std::type_identity_t<View<T const****, Space>> const& target,
                             std::type_identity_t<View<T const*, Space>> const& weights, double scale,
                             std::type_identity_t<View<T****, Space>> const& gradient) {
  require(gradient.size() == prediction.size(),
          "latitude_weighted_mse: the gradient is not of the shape of the prediction");
  return detail::latitude_weighted_mse<T, Space>(context, prediction, target, weights, scale, gradient.data());
}

/// The mean over hidden rows of mean_k (pixels - target)², of [rows, K] and hidden [rows], which is 1 where a row
/// counts and 0 where it does not. Zero where none counts. Waits for the device; zero in a dry context.
template <class T, class Space>
double masked_mse(Context<Space> const& context, View<T**, Space> const& pixels,
                  std::type_identity_t<View<T const**, Space>> const& target,
                  std::type_identity_t<View<T const*, Space>> const& hidden) {
  return detail::masked_mse<T, Space>(context, pixels, target, hidden, 0, nullptr);
}

/// The same, and in the same pass gradient = scale * d(loss)/d(pixels), which may be the pixels themselves; of rows
/// that do not count nothing is read.
template <class T, class Space>
double masked_mse(Context<Space> const& context, View<T**, Space> const& pixels,
                  std::type_identity_t<View<T const**, Space>> const& target,
                  std::type_identity_t<View<T const*, Space>> const& hidden, double scale,
                  std::type_identity_t<View<T**, Space>> const& gradient) {
  require(gradient.extent(0) == pixels.extent(0) && gradient.extent(1) == pixels.extent(1),
          "masked_mse: the gradient is not of the shape of the pixels");
  return detail::masked_mse<T, Space>(context, pixels, target, hidden, scale, gradient.data());
}

}  // namespace dchag
