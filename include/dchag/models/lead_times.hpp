#pragma once

#include <dchag/core/context.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/parallel/shares.hpp>
#include <type_traits>

// Between the front end's rows [images * locations], and the encoder's, [images * lead times * locations], each lead
// time of an image a forecast of its own. `rows` are a rank's own ones of the latter.
namespace dchag::detail {

/// What is added to token (n, e) of a rank's own rows: the position, and the lead time of its image through one linear
/// layer.
template <class T>
struct PositionAndLead {
  T const *position, *weight, *bias, *lead_time;  // [L, D], [D], [D], [B]
  Index locations, embed;
  OwnRows rows;

  KOKKOS_FUNCTION T operator()(Index own, Index e) const {
    Index const n = rows.row(own);
    return position[n % locations * embed + e] + lead_time[n / locations] * weight[e] + bias[e];
  }
};

/// The gradients of PositionAndLead's parameters from that of the tokens [own rows, D].
template <class T, class Space>
void pull_position_and_lead(Context<Space> const& context, Index images, OwnRows const& rows, Index locations,
                            Index embed, T const* gradient, T const* lead_time, T* position, T* weight, T* bias) {
  context.loop(
      "dchag::forecaster::position", locations * embed,
      KOKKOS_LAMBDA(Index at) {
        T sum = 0;
        for (Index b = 0; b < images; ++b) {
          Index const own = rows.find(b * locations + at / embed);
          if (own >= 0) sum += gradient[own * embed + at % embed];
        }
        position[at] += sum;
      },
      moves<T>(images * locations * embed));
  context.loop(
      "dchag::forecaster::lead", embed,
      KOKKOS_LAMBDA(Index e) {
        T total = 0, weighted = 0;
        for (Index b = 0; b < images; ++b) {
          T sum = 0;
          for (Index own = rows.before(b * locations); own < rows.before((b + 1) * locations); ++own)
            sum += gradient[own * embed + e];
          total += sum;
          weighted += lead_time[b] * sum;
        }
        bias[e] += total;
        weight[e] += weighted;
      },
      moves<T>(images * locations * embed));
}

/// Adds nothing to a token.
template <class T>
struct NothingAdded {
  KOKKOS_FUNCTION T operator()(Index, Index) const { return T{0}; }
};

/// forecasts [own rows, D] = the rows of their images [images * locations, D], each once for each lead time, plus what
/// `extra(n, e)` answers.
template <class T, class Space, class Extra>
void repeat_for_leads(Context<Space> const& context, Index leads, std::type_identity_t<linalg::Matrix<T const>> images,
                      Extra const& extra, std::type_identity_t<linalg::Matrix<T>> forecasts) {
  Index const embed = forecasts.columns, locations = extra.locations;
  OwnRows const rows = extra.rows;
  T const* const from = images.data;
  T* const to = forecasts.data;
  context.loop(
      "dchag::forecaster::repeat_for_leads", forecasts.rows * embed,
      KOKKOS_LAMBDA(Index at) {
        Index const own = at / embed, e = at % embed, n = rows.row(own);
        to[at] = from[(n / locations / leads * locations + n % locations) * embed + e] + extra(own, e);
      },
      moves<T>(2 * forecasts.rows * embed));
}

/// images = the sum of the own forecasts over lead times: the gradient of what repeat_for_leads() reads.
template <class T, class Space>
void sum_over_leads(Context<Space> const& context, Index leads, Index locations, OwnRows const& rows,
                    std::type_identity_t<linalg::Matrix<T const>> forecasts,
                    std::type_identity_t<linalg::Matrix<T>> images) {
  Index const embed = images.columns;
  T const* const from = forecasts.data;
  T* const to = images.data;
  context.loop(
      "dchag::forecaster::sum_over_leads", images.rows * embed,
      KOKKOS_LAMBDA(Index at) {
        Index const n = at / embed, e = at % embed, first = n / locations * leads * locations + n % locations;
        T sum = 0;
        for (Index lead = 0; lead < leads; ++lead) {
          Index const own = rows.find(first + lead * locations);
          if (own >= 0) sum += from[own * embed + e];
        }
        to[at] = sum;
      },
      moves<T>((leads + 1) * images.rows * embed));
}

}  // namespace dchag::detail
