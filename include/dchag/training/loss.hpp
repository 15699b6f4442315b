#pragma once

#include <cmath>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/training/detail/image_rows.hpp>
#include <dchag/training/detail/sums.hpp>
#include <type_traits>
#include <utility>
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

/// Weights of rows, divided by their mean: Gaussian weights, say, from a file. Throws where there is none, one is
/// negative or not finite, or all are zero.
inline std::vector<double> row_weights(std::vector<double> weights) {
  require(!weights.empty(), "row_weights: give one for each row");
  double sum = 0;
  for (std::size_t row = 0; row < weights.size(); ++row) {
    require(std::isfinite(weights[row]) && weights[row] >= 0, "row_weights[", row, "] = ", weights[row],
            ": give finite weights that are not negative");
    sum += weights[row];
  }
  require(sum > 0 && std::isfinite(sum), "row_weights: their sum is ", sum, ": give weights of which some count");
  for (double& weight : weights) weight *= static_cast<double>(weights.size()) / sum;
  return weights;
}

/// cos(latitude) of rows at these latitudes, in degrees from either pole, divided by their mean. Throws where there is
/// none, or one is not a latitude.
inline std::vector<double> weights_of_latitudes(std::vector<double> latitudes) {
  double const degree = std::acos(-1.0) / 180;
  for (std::size_t row = 0; row < latitudes.size(); ++row) {
    double const latitude = latitudes[row];
    require(latitude >= -90 && latitude <= 90, "latitudes[", row, "] = ", latitude, ": give degrees from -90 to 90");
    latitudes[row] = std::cos(latitude * degree);
  }
  return row_weights(std::move(latitudes));
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
  sum_chunks(context, "dchag::loss::squared_error", error.rows.count, partial.data(), error,
             moves<T>(3 * error.rows.total * error.columns));
  return total_of(context, partial, error.divisor) / count;
}

/// The same of images, each pixel with a weight besides. Where a weight is zero neither prediction nor target are read
/// into the sum, so that they may be anything there.
template <class T>
struct WeightedSquaredError {
  T const *prediction, *target;
  ImageRows<T> weights;
  Chunks rows;
  T const* factors;  // [height]
  T* gradient;       // may be the prediction; null where only the value is wanted
  double slope;      // gradient = slope * factor * weight * (prediction - target) / divisor[0]
  double const* divisor;

  template <class Sum>
  KOKKOS_FUNCTION double operator()(Index chunk, Sum const& sum) const {
    double total = 0;
    double const scale = divisor[0] == 0 ? 0.0 : slope / divisor[0];
    Index const columns = weights.width;
    for (Index row = rows.begin(chunk); row < rows.end(chunk); ++row) {
      T const factor = factors[row % weights.height];
      T const *p = prediction + row * columns, *t = target + row * columns, *w = weights.row(row);
      T* const g = gradient == nullptr ? nullptr : gradient + row * columns;
      T const step = static_cast<T>(scale * static_cast<double>(factor));
      total += static_cast<double>(factor) * sum(columns, [=](Index k) {
                 T const difference = w[k] == T{0} ? T{0} : p[k] - t[k];
                 if (g != nullptr) g[k] = step * w[k] * difference;
                 return static_cast<double>(w[k]) * static_cast<double>(difference) * static_cast<double>(difference);
               });
    }
    return total;
  }
};

/// The sum over the rows of images of factor times the sum of weights, of the weights that are stored.
template <class T>
struct SumOfWeights {
  T const *weights, *factors;
  Index height, columns;
  Chunks rows;
  double repeats;  // images and channels that each stored weight is for

  template <class Sum>
  KOKKOS_FUNCTION double operator()(Index chunk, Sum const& sum) const {
    double total = 0;
    for (Index row = rows.begin(chunk); row < rows.end(chunk); ++row) {
      T const* const w = weights + row * columns;
      total +=
          static_cast<double>(factors[row % height]) * sum(columns, [=](Index k) { return static_cast<double>(w[k]); });
    }
    return repeats * total;
  }
};

/// The sum that `body` reduces, as sum_chunks() does, left on the device: pushed, [1].
template <class Space, class Body>
double const* push_sum(Context<Space> const& context, char const* label, Index chunks, Body const& body) {
  double* const answer = context.workspace().template push<double*>(1).data();
  auto scope = context.workspace().scope();
  auto const partial = push_partial_sums(context);
  sum_chunks(context, label, chunks, partial.data(), body);
  context.loop(
      "dchag::loss::push_sum", 1, KOKKOS_LAMBDA(Index) {
        double total = 0;
        for (Index i = 0; i < partial_sums; ++i) total += partial(i);
        answer[0] = total;
      });
  return answer;
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
                             View<T const****, Space> const& target, View<T const*, Space> const& factors,
                             View<T const****, Space> const& weights, double scale, T* gradient) {
  Index const rows = static_cast<Index>(prediction.extent(0) * prediction.extent(1) * prediction.extent(2));
  Index const columns = static_cast<Index>(prediction.extent(3)), height = static_cast<Index>(prediction.extent(2));
  require(target.size() == prediction.size() && target.extent(2) == prediction.extent(2) &&
              target.extent(3) == prediction.extent(3),
          "latitude_weighted_mse: the target is not of the shape of the prediction");
  require(static_cast<Index>(factors.extent(0)) == height, "latitude_weighted_mse: ", factors.extent(0),
          " latitude weights for images of height ", height);
  double const count = static_cast<double>(rows * columns);
  if (weights.size() == 0) {
    SquaredError<T> error{prediction.data(), target.data(), columns, Chunks(rows), factors.data(), height, gradient};
    error.slope = 2 * scale / count;
    return squared_error(context, error, count);
  }
  auto const of_pixels = image_rows("latitude_weighted_mse: the weights are", weights, prediction);
  auto scope = context.workspace().scope();
  Chunks const stored(static_cast<Index>(weights.size()) / columns);
  double const* const sum = push_sum(
      context, "dchag::loss::weights", stored.count,
      SumOfWeights<T>{weights.data(), factors.data(), height, columns, stored, count / double(weights.size())});
  WeightedSquaredError<T> const error{prediction.data(), target.data(), of_pixels, Chunks(rows),
                                      factors.data(),    gradient,      2 * scale, sum};
  auto const partial = push_partial_sums(context);
  sum_chunks(context, "dchag::loss::weighted_squared_error", error.rows.count, partial.data(), error,
             moves<T>(4 * rows * columns));
  return total_of(context, partial, sum);
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
  Chunks const chunks(rows);
  double const* const hidden_rows =
      push_sum(context, "dchag::loss::hidden", chunks.count, SumOfRows<T>{hidden.data(), chunks});
  SquaredError<T> error{pixels.data(), target.data(), columns, chunks, hidden.data(), Kokkos::max<Index>(rows, 1),
                        gradient};
  error.slope = 2 * scale / static_cast<double>(columns);
  error.divisor = hidden_rows;
  return squared_error(context, error, static_cast<double>(columns));
}

}  // namespace detail

/// mean over all elements of rows[h] (prediction - target)², of images [B, C, H, W] and one weight for each row [H].
/// With weights [B or 1, C or 1, H, W], finite and not negative, it is sum(weights rows error²) / sum(weights rows),
/// both over all elements of the images: where a weight is zero the target may be anything, NaN too. Zero where all
/// are. Waits for the device; zero in a dry context.
template <class T, class Space>
double latitude_weighted_mse(Context<Space> const& context, View<T****, Space> const& prediction,
                             std::type_identity_t<View<T const****, Space>> const& target,
                             std::type_identity_t<View<T const*, Space>> const& rows,
                             std::type_identity_t<View<T const****, Space>> const& weights = {}) {
  return detail::latitude_weighted_mse<T, Space>(context, prediction, target, rows, weights, 0, nullptr);
}

/// The same, and in the same pass gradient = scale * d(loss)/d(prediction), which may be the prediction itself.
template <class T, class Space>
double latitude_weighted_mse(Context<Space> const& context, View<T****, Space> const& prediction,
                             std::type_identity_t<View<T const****, Space>> const& target,
                             std::type_identity_t<View<T const*, Space>> const& rows, double scale,
                             std::type_identity_t<View<T****, Space>> const& gradient,
                             std::type_identity_t<View<T const****, Space>> const& weights = {}) {
  require(gradient.size() == prediction.size(),
          "latitude_weighted_mse: the gradient is not of the shape of the prediction");
  return detail::latitude_weighted_mse<T, Space>(context, prediction, target, rows, weights, scale, gradient.data());
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
