#pragma once

#include <cmath>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/training/loss.hpp>

namespace dchag {

/// Root of the mean squared difference of two contiguous views of one shape, summed in double. Waits for the device;
/// zero in a dry context.
template <class Space, class Prediction, class Target>
double rmse(Context<Space> const& context, Prediction const& prediction, Target const& target) {
  using T = typename Prediction::non_const_value_type;
  static_assert(std::is_same_v<T, typename Target::non_const_value_type>, "rmse compares views of one element type");
  require(prediction.span_is_contiguous() && target.span_is_contiguous() && prediction.size() == target.size(),
          "rmse: ", prediction.size(), " predictions and ", target.size(),
          " targets: give contiguous views of one shape");
  Index const count = static_cast<Index>(prediction.size()),
              columns = Kokkos::min<Index>(Kokkos::max<Index>(count, 1), 1024);
  if (count % columns != 0) {  // one row that is not full
    detail::SquaredError<T> const tail{prediction.data() + count / columns * columns,
                                       target.data() + count / columns * columns, count % columns, detail::Chunks(1)};
    detail::SquaredError<T> const rest{prediction.data(), target.data(), columns, detail::Chunks(count / columns)};
    return std::sqrt((detail::squared_error(context, rest, 1.0) + detail::squared_error(context, tail, 1.0)) /
                     static_cast<double>(count));
  }
  detail::SquaredError<T> const error{prediction.data(), target.data(), columns, detail::Chunks(count / columns)};
  return count == 0 ? 0.0 : std::sqrt(detail::squared_error(context, error, static_cast<double>(count)));
}

}  // namespace dchag
