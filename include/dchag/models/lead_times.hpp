#pragma once

#include <dchag/core/context.hpp>
#include <dchag/linalg/matrix.hpp>

// Between the tokens of images [images * locations, D] and those of their forecasts [images * leads * locations, D]:
// every image is forecast for several lead times.
namespace dchag::detail {

/// The `extra` of rows to which nothing is added.
template <class T>
struct NothingAdded {
  KOKKOS_FUNCTION T operator()(Index, Index) const { return T{0}; }
};

/// forecasts[n, e] = the token of the image of row n, plus what `extra(n, e)` answers.
template <class T, class Space, class Extra>
void repeat_for_leads(Context<Space> const& context, Index leads, Index locations, linalg::Matrix<T const> images,
                      Extra const& extra, linalg::Matrix<T> forecasts) {
  T const* const from = images.data;
  T* const to = forecasts.data;
  Index const embed = forecasts.columns;
  context.loop(
      "dchag::forecaster::repeat_for_leads", forecasts.rows * embed, KOKKOS_LAMBDA(Index at) {
        Index const n = at / embed, e = at % embed;
        to[at] = from[(n / (leads * locations) * locations + n % locations) * embed + e] + extra(n, e);
      });
}

/// images = the sum of the forecasts over lead times: the gradient of what repeat_for_leads() reads.
template <class T, class Space>
void sum_over_leads(Context<Space> const& context, Index leads, Index locations, linalg::Matrix<T const> forecasts,
                    linalg::Matrix<T> images) {
  T const* const from = forecasts.data;
  T* const to = images.data;
  Index const image = locations * images.columns;
  context.loop(
      "dchag::forecaster::sum_over_leads", images.rows * images.columns, KOKKOS_LAMBDA(Index at) {
        T const* const first = from + at / image * leads * image + at % image;
        T sum = 0;
        for (Index lead = 0; lead < leads; ++lead) sum += first[lead * image];
        to[at] = sum;
      });
}

}  // namespace dchag::detail
