#pragma once

#include <cmath>
#include <dchag/channels/device_list.hpp>
#include <dchag/channels/term_sum.hpp>
#include <dchag/channels/units/unit.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/lanes.hpp>
#include <dchag/core/team_sum.hpp>
#include <string>

namespace dchag::channels {

namespace detail {

/// The weight of the c-th token that a rank holds: `index` [count] says which of the unit's it is; null: the c-th.
template <class T>
struct TokenWeights {
  T* weight;
  Index const* index;
  KOKKOS_INLINE_FUNCTION T& operator[](Index c) const { return weight[index == nullptr ? c : index[c]]; }
};

/// out[e, n] = sum_c factor[c, n] weight[c] tokens[c, e, n] + bias; without bias or factor where they are null.
template <class T, class Space>
void weigh_tokens(Context<Space> const& context, Tiling const& tiling, Index count, Index embed,
                  TokenWeights<T const> weight, T const* bias, T const* factor, T const* tokens, T* out) {
  using L = Lanes<T, lane_count<T, Space>>;
  Index const pitch = tiling.pitch;
  sum_terms(
      context, "dchag::channels::weigh_tokens", tiling, count, embed, bias,
      KOKKOS_LAMBDA(Index c, Index e, Index n) {
        L token = load<L>(tokens + (c * embed + e) * pitch + n);
        if (factor != nullptr) token *= load<L>(factor + c * pitch + n);
        return token * weight[c];
      },
      out, moves<T>((count + 1) * embed * tiling.width));
}

/// The backward pass of weigh_tokens: token gradients written, those of the weights (and of the bias, team `count`,
/// unless it is null) added.
template <class T, class Space>
void pull_weighed_tokens(Context<Space> const& context, Tiling const& tiling, Index count, Index embed,
                         TokenWeights<T const> weight, T const* factor, T const* tokens, T const* gradient,
                         T* token_gradients, TokenWeights<T> weight_gradient, T* bias_gradient) {
  using L = Lanes<T, lane_count<T, Space>>;
  using Team = typename Kokkos::TeamPolicy<Space>::member_type;
  Index const columns = tiling.width, pitch = tiling.pitch;
  context.teams(
      "dchag::channels::pull_weighed_tokens", count + (bias_gradient == nullptr ? 0 : 1), 32, 0,
      KOKKOS_LAMBDA(Team const& team) {
        Index const c = team.league_rank();
        T const total = team_sum<T, Space>(team, embed, columns, [&](Index e, Index n) {
          L g = load<L>(gradient + e * pitch + n);
          if (c == count) return g;
          if (factor != nullptr) g *= load<L>(factor + c * pitch + n);
          Index const at = (c * embed + e) * pitch + n;
          store(token_gradients + at, g * weight[c]);
          return g * load<L>(tokens + at);
        });
        Kokkos::single(Kokkos::PerTeam(team), [&] { (c == count ? bias_gradient[0] : weight_gradient[c]) += total; });
      },
      moves<T>((2 * count + 1) * embed * tiling.width));
}

}  // namespace detail

/// One weight a token and one bias, shared by all rows and features. Keeps nothing. The weights start equal, so that
/// the sum of tokens that are not alike has the size of one. Where tokens are absent, see Renormalize.
template <class T, class Space>
class LinearUnit {
 public:
  LinearUnit(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape)
      : embed_(shape.embed),
        tokens_(shape.tokens),
        weight_(&parameters.add(prefix + "weight", {1, shape.tokens},
                                constant(1.0 / std::sqrt(static_cast<double>(shape.tokens))))),
        bias_(&parameters.add(prefix + "bias", {1}, constant(0))) {}

  void share(UnitShare<T, Space> const& share) {
    joint_ = share.joint;
    leads_ = share.leads();
    index_ = device_list<Space>("dchag::channels::tokens", share.tokens());
    tokens_ = static_cast<Index>(index_.size());
  }

  Index kept_per_row() const { return 0; }
  void prepare(Context<Space> const&) {}
  void finish(Context<Space> const&) {}

  void forward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T*, T* out,
               PresentTokens<T> const& present = {}) const {
    detail::weigh_tokens<T>(context, tiling, tokens_, embed_, {weight_->values, index_.data()},
                            leads_ ? bias_->values : nullptr, present.factor, tokens, out);
    joint_.sum(context, tiling, embed_, out);
  }
  void backward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T const*, T const* gradient,
                T* token_gradients, PresentTokens<T> const& present = {}) const {
    auto scope = context.workspace().scope();
    if (joint_.delivers_own_rows())
      gradient = joint_.spread(context, tiling, embed_, gradient,
                               context.workspace().template push<T**>(embed_, tiling.pitch).data());
    detail::pull_weighed_tokens<T>(context, tiling, tokens_, embed_, {weight_->values, index_.data()}, present.factor,
                                   tokens, gradient, token_gradients, {weight_->gradients, index_.data()},
                                   leads_ ? bias_->gradients : nullptr);
  }

  Parameter<T, Space> const& weight() const { return *weight_; }
  Parameter<T, Space> const& bias() const { return *bias_; }

 private:
  Index embed_, tokens_;  // tokens of this rank
  DeviceList<Space> index_;
  Joint<T, Space> joint_;
  bool leads_ = true;
  Parameter<T, Space>*weight_, *bias_;
};

}  // namespace dchag::channels
