#pragma once

#include <dchag/channels/evaluate/patch_scores.hpp>
#include <dchag/channels/tokenizer.hpp>
#include <dchag/channels/units/unit.hpp>

namespace dchag::channels {

/// A unit over tokens (a JointUnit) put to the channels of a group, those of them that this rank owns: the tokens of a
/// tile are formed for it, and kept, or formed again.
template <class T, class Space, class Unit, bool keep_tokens>
class TokenizedLeaf {
 public:
  TokenizedLeaf(Unit& unit, Tokenizer<T, Space>& tokenizer, ChannelGroup group)
      : unit_(&unit), tokenizer_(&tokenizer), group_(group) {}

  bool gathers() const { return unit_->gathers(); }
  Index kept_per_row() const { return unit_->kept_per_row() + (keep_tokens ? group_.count * tokenizer_->embed() : 0); }
  void prepare(Context<Space> const& context) const { unit_->prepare(context); }
  void finish(Context<Space> const& context) const { unit_->finish(context); }

  void forward(Context<Space> const& context, Tiling const& tiling, T const* x, T* kept, T* out,
               PresentTokens<T> const& present = {}) const {
    auto scope = context.workspace().scope();
    T* const tokens = keep_tokens ? kept + unit_->kept_per_row() * tiling.pitch : push_tokens(context, tiling);
    tokenize(context, tiling, x, tokens);
    unit_->forward(context, tiling, tokens, kept, out, present);
  }

  void backward(Context<Space> const& context, Tiling const& tiling, T const* x, T const* kept, T const* gradient,
                PresentTokens<T> const& present = {}) const {
    auto scope = context.workspace().scope();
    T* const dt = push_tokens(context, tiling);
    T const* tokens = kept + unit_->kept_per_row() * tiling.pitch;
    if constexpr (!keep_tokens) {
      T* const again = push_tokens(context, tiling);
      tokenize(context, tiling, x, again);
      tokens = again;
    }
    unit_->backward(context, tiling, tokens, kept, gradient, dt, present);
    tokenizer_->pull(context, tiling, group_.first, group_.count, x, dt);
  }

 private:
  T* push_tokens(Context<Space> const& context, Tiling const& tiling) const {
    return context.workspace().template push<T***>(group_.count, tokenizer_->embed(), tiling.pitch).data();
  }
  void tokenize(Context<Space> const& context, Tiling const& tiling, T const* x, T* tokens) const {
    tokenizer_->project(context, tiling, group_.first, group_.count, x, tokens);
    tokenizer_->add_beta(context, tiling, group_.first, group_.count, tokens);
  }

  Unit* unit_;
  Tokenizer<T, Space>* tokenizer_;
  ChannelGroup group_;
};

}  // namespace dchag::channels
