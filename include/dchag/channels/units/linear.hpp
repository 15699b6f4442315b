#pragma once

#include <cmath>
#include <dchag/channels/tile.hpp>
#include <dchag/channels/units/unit.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <string>

namespace dchag::channels {

namespace detail {

/// out[e, n] = sum_c weight[c] tokens[c, e, n] + bias
template <class T, class Space>
void weigh_tokens(Context<Space> const& context, Tiling const& tiling, Index count, Index embed, T const* weight,
                  T const* bias, T const* tokens, T* out) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  context.loop(
      "dchag::channels::weigh_tokens", embed * blocks, KOKKOS_LAMBDA(Index item) {
        Index const e = item / blocks, n = item % blocks * lanes;
        L total = broadcast<L>(bias[0]);
        for (Index c = 0; c < count; ++c) total += load<L>(tokens + (c * embed + e) * pitch + n) * weight[c];
        store(out + e * pitch + n, total);
      });
}

/// The backward pass of weigh_tokens: token gradients written, those of the weights (and of the bias, team `count`)
/// added.
template <class T, class Space>
void pull_weighed_tokens(Context<Space> const& context, Tiling const& tiling, Index count, Index embed, T const* weight,
                         T const* tokens, T const* gradient, T* token_gradients, T* weight_gradient, T* bias_gradient) {
  constexpr int lanes = lane_count<T, Space>;
  using L = Lanes<T, lanes>;
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  Index const blocks = tiling.width / lanes, pitch = tiling.pitch;
  context.teams(
      "dchag::channels::pull_weighed_tokens", count + 1, 32, 0, KOKKOS_LAMBDA(Team const& team) {
        Index const c = team.league_rank();
        T total = 0;
        Kokkos::parallel_reduce(
            Kokkos::TeamVectorRange(team, embed * blocks),
            [&](Index item, T& part) {
              Index const e = item / blocks, n = item % blocks * lanes;
              L const g = load<L>(gradient + e * pitch + n);
              if (c == count) {
                part += sum_lanes(g, gradient);
              } else {
                Index const at = (c * embed + e) * pitch + n;
                part += sum_lanes(g * load<L>(tokens + at), tokens);
                store(token_gradients + at, g * weight[c]);
              }
            },
            total);
        Kokkos::single(Kokkos::PerTeam(team), [&] { (c == count ? bias_gradient[0] : weight_gradient[c]) += total; });
      });
}

}  // namespace detail

/// One weight a token and one bias, shared by all rows and features. Keeps nothing. The weights start equal, so that
/// the sum of tokens that are not alike has the size of one.
template <class T, class Space>
class LinearUnit {
 public:
  LinearUnit(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape)
      : shape_(shape),
        weight_(&parameters.add(prefix + "weight", {1, shape.tokens},
                                constant(1.0 / std::sqrt(static_cast<double>(shape.tokens))))),
        bias_(&parameters.add(prefix + "bias", {1}, constant(0))) {}

  Index kept_per_row() const { return 0; }
  void prepare(Context<Space> const&) {}
  void finish(Context<Space> const&) {}

  void forward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T*, T* out) const {
    detail::weigh_tokens(context, tiling, shape_.tokens, shape_.embed, static_cast<T const*>(weight_->values),
                         static_cast<T const*>(bias_->values), tokens, out);
  }
  void backward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T const*, T const* gradient,
                T* token_gradients) const {
    detail::pull_weighed_tokens(context, tiling, shape_.tokens, shape_.embed, static_cast<T const*>(weight_->values),
                                tokens, gradient, token_gradients, weight_->gradients, bias_->gradients);
  }

  Parameter<T, Space> const& weight() const { return *weight_; }
  Parameter<T, Space> const& bias() const { return *bias_; }

 private:
  UnitShape shape_;
  Parameter<T, Space>*weight_, *bias_;
};

}  // namespace dchag::channels
