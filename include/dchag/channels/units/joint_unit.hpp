#pragma once

#include <algorithm>
#include <dchag/channels/device_list.hpp>
#include <dchag/channels/units/unit.hpp>
#include <string>
#include <utility>
#include <vector>

namespace dchag::channels {

/// A unit of a tree whose tokens stand on one rank or on several. Where they are gathered, they are part of what is
/// kept: n D numbers a row more.
template <class Unit, class T, class Space>
class JointUnit {
 public:
  JointUnit(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape)
      : unit_(parameters, prefix, shape), shape_(shape) {}
  JointUnit(JointUnit const&) = delete;

  Unit& unit() { return unit_; }

  /// The ranks reduce their own tokens and merge what they get.
  void merge(UnitShare<T, Space> const& share) requires SharedUnit<Unit, T, Space> { unit_.share(share); }

  /// The ranks gather the tokens, and each evaluates the unit.
  void gather(UnitShare<T, Space> const& share) {
    std::vector<Index> held(static_cast<std::size_t>(share.joint.group().size()), 0), place;
    std::vector<int> const& holders = share.holders;
    for (int holder : holders) most_ = std::max(most_, ++held[static_cast<std::size_t>(holder)]);
    std::fill(held.begin(), held.end(), 0);
    for (int holder : holders) place.push_back(holder * most_ + held[static_cast<std::size_t>(holder)]++);
    place_ = device_list<Space>("dchag::channels::place", place);
    joint_ = share.joint;
    own_ = share.tokens();
    gathered_ = true;
  }

  /// Whether forward and backward work on all tokens of the unit, not on this rank's alone.
  bool gathers() const { return gathered_; }

  Index kept_per_row() const { return unit_.kept_per_row() + (gathered_ ? shape_.tokens * shape_.embed : 0); }
  void prepare(Context<Space> const& context) { unit_.prepare(context); }
  void finish(Context<Space> const& context) { unit_.finish(context); }

  /// As TokenUnit says, of this rank's tokens; which are present is said of all tokens where they are gathered.
  void forward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T* kept, T* out,
               PresentTokens<T> const& present = {}) {
    if (!gathered_) return unit_forward(context, tiling, tokens, kept, out, present);
    T* const all = kept + unit_.kept_per_row() * tiling.pitch;
    Index const at = joint_.delivered_at(tiling);
    joint_.gather(context, tiling, shape_.embed, static_cast<Index>(own_.size()), most_, tokens, shape_.tokens,
                  static_cast<Index const*>(place_.data()), all);
    unit_forward(context, joint_.delivered(tiling), all + at, kept + at, out + at, present.from_column(at));
  }
  void backward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T const* kept, T const* gradient,
                T* token_gradients, PresentTokens<T> const& present = {}) {
    if (!gathered_) return unit_backward(context, tiling, tokens, kept, gradient, token_gradients, present);
    auto scope = context.workspace().scope();
    Index const one = shape_.embed * tiling.pitch;
    T* const all = context.workspace().template push<T*>(shape_.tokens * one).data();
    Index const at = joint_.delivered_at(tiling);
    unit_backward(context, joint_.delivered(tiling), kept + unit_.kept_per_row() * tiling.pitch + at, kept + at,
                  gradient + at, all + at, present.from_column(at));
    if (joint_.delivers_own_rows())
      return joint_.give_back(context, tiling, shape_.embed, static_cast<Index>(own_.size()), most_, all, shape_.tokens,
                              static_cast<Index const*>(place_.data()), token_gradients);
    for (std::size_t k = 0; k < own_.size(); ++k)
      context.copy(reshape<T*, Space>(token_gradients + static_cast<Index>(k) * one, one),
                   reshape<T*, Space>(all + own_[k] * one, one));
  }

 private:
  void unit_forward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T* kept, T* out,
                    PresentTokens<T> const& present) {
    if constexpr (PartialUnit<Unit, T, Space>)
      unit_.forward(context, tiling, tokens, kept, out, present);
    else
      unit_.forward(context, tiling, tokens, kept, out);
  }
  void unit_backward(Context<Space> const& context, Tiling const& tiling, T const* tokens, T const* kept,
                     T const* gradient, T* token_gradients, PresentTokens<T> const& present) {
    if constexpr (PartialUnit<Unit, T, Space>)
      unit_.backward(context, tiling, tokens, kept, gradient, token_gradients, present);
    else
      unit_.backward(context, tiling, tokens, kept, gradient, token_gradients);
  }

  Unit unit_;
  UnitShape shape_;
  bool gathered_ = false;
  Joint<T, Space> joint_;
  std::vector<Index> own_;  // of the tokens, those of this rank
  Index most_ = 0;          // tokens of the rank that has the most
  DeviceList<Space> place_;
};

}  // namespace dchag::channels
