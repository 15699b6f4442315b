#pragma once

#include <dchag/channels/detail/joint_kernels.hpp>
#include <dchag/channels/tile.hpp>
#include <dchag/core/context.hpp>
#include <dchag/parallel/communicator.hpp>

namespace dchag::channels {

/// Which rows of a result the ranks of a group get: all of them, or each the block of columns that is its own.
enum class Delivery { whole, own_rows };

/// How the ranks of a replica bring together what each knows of the rows of a tile (channel-math.md, section 4). Every
/// rank of the group calls every function, in the same order. Nothing happens in a group of one rank.
///
/// Results of all ranks' tokens stand in the delivered columns alone. Whole delivery costs an all-reduce or an
/// all-gather, that of own rows a reduce-scatter or an all-to-all, and the way back in the backward pass.
template <class T, class Space>
class Joint {
 public:
  explicit Joint(Communicator group = {}, Delivery delivery = Delivery::whole)
      : group_(std::move(group)), own_rows_(delivery == Delivery::own_rows && group_.size() > 1) {}

  Communicator const& group() const { return group_; }
  bool alone() const { return group_.size() == 1; }
  bool delivers_own_rows() const { return own_rows_; }

  /// The columns of a tile that this rank gets the result of: from delivered_at() on those of delivered().
  Tiling delivered(Tiling const& tiling) const { return own_rows_ ? tiling.of_block(tiling.block()) : tiling; }
  Index delivered_at(Tiling const& tiling) const { return own_rows_ ? group_.rank() * tiling.block() : 0; }

  /// From the maximum and the normalizer [h, pitch] of the scores of this rank's tokens and the heads' values z
  /// [h * width, pitch] of these to those of all ranks' tokens (Milakov and Gimelshein, arXiv 1805.02867); maximum and
  /// normalizer in all columns. A rank without tokens gives a normalizer of zero. `shift` (null: none) is a constant in
  /// this rank's z alone. Answers the share [h, pitch] of the weight that was this rank's, pushed on the workspace;
  /// null in a group of one rank.
  T const* attention(Context<Space> const& context, Tiling const& tiling, Index heads, Index width, T const* shift,
                     T* max, T* normalizer, T* z) const {
    if (alone()) return nullptr;
    auto& workspace = context.workspace();
    T* const share = workspace.template push<T**>(heads, tiling.pitch).data();
    auto scope = workspace.scope();
    Index const rows = heads * (width + 1);
    auto const largest = workspace.template push<T**>(heads, tiling.width);
    auto const sums = workspace.template push<T**>(rows, tiling.width);
    detail::pack_rows(context, tiling, {heads, tiling.block()}, heads, max, largest.data(), false);
    group_.all_reduce(context, largest, Reduction::max);
    detail::pack_attention<T>(context, tiling, heads, width, largest.data(), max, normalizer, z, shift, sums.data());
    if (own_rows_) {
      auto const own = workspace.template push<T**>(rows, tiling.block());
      auto const normalizers = workspace.template push<T**>(heads, tiling.width);
      group_.reduce_scatter(context, sums, own);
      group_.all_gather(context, reshape<T**, Space>(own.data(), heads, tiling.block()), normalizers);
      detail::unpack_weights<T>(context, tiling, heads, largest.data(), {heads, tiling.block()}, normalizers.data(),
                                max, normalizer, share);
      detail::unpack_values<T>(context, delivered(tiling), heads, width, own.data(), shift, z + delivered_at(tiling));
    } else {
      group_.all_reduce(context, sums);
      detail::unpack_weights<T>(context, tiling, heads, largest.data(), {rows, tiling.block()}, sums.data(), max,
                                normalizer, share);
      detail::unpack_values<T>(context, tiling, heads, width, sums.data(), shift, z);
    }
    return share;
  }

  /// x [rows, pitch] becomes the sum of the ranks' x.
  void sum(Context<Space> const& context, Tiling const& tiling, Index rows, T* x) const {
    if (!own_rows_)
      return through_packed(context, tiling, rows, x, true,
                            [&](auto const& packed) { group_.all_reduce(context, packed); });
    auto scope = context.workspace().scope();
    auto const packed = context.workspace().template push<T**>(rows, tiling.width);
    auto const own = context.workspace().template push<T**>(rows, tiling.block());
    detail::pack_rows(context, tiling, {rows, tiling.block()}, rows, x, packed.data(), false);
    group_.reduce_scatter(context, packed, own);
    detail::pack_rows(context, delivered(tiling), {rows, tiling.block()}, rows, x + delivered_at(tiling), own.data(),
                      true);
  }

  /// The way back of sum(): x [rows, pitch] of the ranks' delivered columns in all columns; answers x, or where it is
  /// not whole, what was written to `room` [rows, pitch], which may be x.
  T const* spread(Context<Space> const& context, Tiling const& tiling, Index rows, T const* x, T* room) const {
    if (!own_rows_) return x;
    auto scope = context.workspace().scope();
    auto const own = context.workspace().template push<T**>(rows, tiling.block());
    auto const packed = context.workspace().template push<T**>(rows, tiling.width);
    detail::pack_rows(context, delivered(tiling), {rows, tiling.block()}, rows,
                      const_cast<T*>(x) + delivered_at(tiling), own.data(), false);
    group_.all_gather(context, own, packed);
    detail::pack_rows(context, tiling, {rows, tiling.block()}, rows, room, packed.data(), true);
    return room;
  }

  /// x [rows, pitch] of that rank goes to every rank, in all columns.
  void broadcast(Context<Space> const& context, Tiling const& tiling, Index rows, int root, T* x) const {
    through_packed(context, tiling, rows, x, group_.rank() == root,
                   [&](auto const& packed) { group_.broadcast(context, packed, root); });
  }

  /// The tokens of all ranks [tokens, D, pitch] from the `count` <= `most` of each; token t is the (place[t] % most)-th
  /// of rank place[t] / most.
  void gather(Context<Space> const& context, Tiling const& tiling, Index embed, Index count, Index most, T const* own,
              Index tokens, Index const* place, T* all) const {
    auto scope = context.workspace().scope();
    Index const rows = most * embed;
    auto const part = context.workspace().template push<T**>(rows, tiling.width);
    auto const whole = context.workspace().template push<T**>(group_.size() * rows, delivered(tiling).width);
    detail::pack_rows(context, tiling, {rows, delivered(tiling).width}, count * embed, const_cast<T*>(own), part.data(),
                      false);
    if (own_rows_)
      group_.all_to_all(context, part, whole);
    else
      group_.all_gather(context, part, whole);
    detail::place_tokens<T>(context, delivered(tiling), tokens, embed, place, whole.data(), all + delivered_at(tiling),
                            false);
  }

  /// Where own rows are delivered the way back: own [count, D, pitch] = the gradients of this rank's tokens in all
  /// columns, from those of all tokens in the delivered ones.
  void give_back(Context<Space> const& context, Tiling const& tiling, Index embed, Index count, Index most, T* all,
                 Index tokens, Index const* place, T* own) const {
    auto scope = context.workspace().scope();
    Index const rows = most * embed;
    auto const whole = context.workspace().template push<T**>(group_.size() * rows, tiling.block());
    auto const part = context.workspace().template push<T**>(rows, tiling.width);
    detail::place_tokens<T>(context, delivered(tiling), tokens, embed, place, whole.data(), all + delivered_at(tiling),
                            true);
    group_.all_to_all(context, whole, part);
    detail::pack_rows(context, tiling, {rows, tiling.block()}, count * embed, own, part.data(), true);
  }

 private:
  /// verb(packed [rows, width]) on x [rows, pitch], which it reads where `sends`, and writes.
  template <class Verb>
  void through_packed(Context<Space> const& context, Tiling const& tiling, Index rows, T* x, bool sends,
                      Verb const& verb) const {
    if (alone()) return;
    auto scope = context.workspace().scope();
    auto const packed = context.workspace().template push<T**>(rows, tiling.width);
    detail::Packed const where{rows, tiling.block()};
    if (sends) detail::pack_rows(context, tiling, where, rows, x, packed.data(), false);
    verb(packed);
    detail::pack_rows(context, tiling, where, rows, x, packed.data(), true);
  }

  Communicator group_;
  bool own_rows_;
};

}  // namespace dchag::channels
