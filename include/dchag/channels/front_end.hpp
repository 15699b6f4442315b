#pragma once

#include <array>
#include <dchag/channels/channel_sharing.hpp>
#include <dchag/channels/detail/checks.hpp>
#include <dchag/channels/patches.hpp>
#include <dchag/channels/presence.hpp>
#include <dchag/channels/tree_units.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace dchag {

/// From images of many channels to one token a location: patches, tokenization, and the tree of units.
///
/// It works tile by tile of rows; what a tile leaves for the backward pass (its patches, the tokens between levels,
/// what the units keep) is its *record*. With `recompute`, records are made again in the backward pass instead of being
/// kept.
///
/// A call of forward pushes on the workspace what is left until backward is done; the caller releases it.
///
/// The ranks of a replica divide the channels: each reads and tokenizes its own. All of them call every function with
/// the same arguments, but for the images; tokens and their gradients are the same on every rank, or where own rows are
/// to be delivered each rank's are those of its rows: the last unit is then computed once, not once a rank. See
/// TreeShares for who does what. Where all channels are every rank's, see Everywhere.
///
/// Images may lack channels, each its own: see forward. Attention then runs over the tokens present, exactly; a Linear
/// unit does what `Lacking` says; a unit none of whose tokens is present is itself absent from the next level.
template <class T, class Space, class TreePolicy, EvaluationOrder Evaluation, bool recompute, JoinPolicy Joining = Auto,
          MissingPolicy Lacking = Refuse>
class FrontEnd {
  using Units = channels::TreeUnits<T, Space, TreePolicy, Evaluation, Joining>;
  static constexpr std::size_t depth = Units::depth, folded = Units::folded,
                               first_token_level = Units::first_token_level;

 public:
  /// Throws where the patch does not divide the image, the heads the features, a level has more groups than tokens, or
  /// the join cannot be as the policy wants it. `grid` has the channels of all ranks of the group; `owners` says for
  /// each which rank owns it, or every_rank for all, and may be empty in a group of one.
  FrontEnd(Parameters<T, Space>& parameters, channels::PatchGrid const& grid, Index embed, Index heads,
           Communicator const& group = {}, std::vector<int> const& owners = {},
           channels::Delivery delivery = channels::Delivery::whole)
      : sharing_(channels::detail::checked(grid, embed, heads), group, owners, delivery, Units::divides_heads),
        grid_{static_cast<Index>(sharing_.own.size()), grid.height, grid.width, grid.patch},
        embed_(embed),
        tokenizer_(parameters, grid.channels, embed, grid.pixels(), channels::ranges_of(sharing_.own),
                   sharing_.of_channels()),
        tree_(parameters, sharing_, embed, heads, tokenizer_),
        presence_({tree_.groups().begin(), tree_.groups().end()}, tree_.held_tokens()) {}
  FrontEnd(FrontEnd const&) = delete;

  /// Of this rank's channels.
  channels::PatchGrid const& grid() const { return grid_; }
  /// This rank's channels, ascending: those of the images that it gives to forward.
  std::vector<Index> const& own_channels() const { return sharing_.own; }
  Index const* own_channels_on_device() const { return presence_.own(); }
  /// The ranks that divide the channels: this one alone where it has all of them.
  Communicator const& group() const { return sharing_.joint.group(); }

  /// Names of the channels of all ranks, for messages.
  void name_channels(std::vector<std::string> names) { presence_.name_channels(std::move(names)); }

  /// Of each image [B, channels of all ranks], the same on every rank: zero where it lacks a channel. Of no extent
  /// where no image lacks any.
  using Present = View<unsigned char const**, Space>;

  /// Images [B, own channels, H, W] and keep [B, per_image] (locations wanted, or null for all) stay valid until
  /// backward is done. Tokens are left in tiles, [tiles, D, pitch]: see out() and tiling(). Of a channel that an image
  /// lacks, nothing is read. Where `present` is given, it waits for the device, and throws where an image has no
  /// channel, or a unit lacks tokens that it cannot do without. Where own rows are delivered, `where` says which these
  /// are.
  void forward(Context<Space> const& context, T const* images, Index const* keep, Index per_image, Index batch,
               Present const& present = {}, SharedLocations const& where = {}) {
    Phase const phase("dchag::front_end::forward");
    begin(context, images, keep, per_image, batch, present, where);
    if constexpr (recompute) {
      forward_tiles(context);
    } else {
      records_ = context.workspace().template push<T***>(tiling_.tiles, record_rows_, tiling_.pitch).data();
      for (Index tile = 0; tile < tiling_.tiles; ++tile) forward_tile(context, tile, record_of(tile), out_of(tile));
    }
  }

  /// The same, without leaving anything for a backward pass.
  void evaluate(Context<Space> const& context, T const* images, Index const* keep, Index per_image, Index batch,
                Present const& present = {}, SharedLocations const& where = {}) {
    Phase const phase("dchag::front_end::evaluate");
    begin(context, images, keep, per_image, batch, present, where);
    forward_tiles(context);
  }

  /// Whether each rank gets the tokens of its own rows alone.
  bool delivers_own_rows() const { return sharing_.delivers_own_rows(); }

  /// Of the rows that are delivered.
  Tiling tiling() const {
    return sharing_.last_joint.delivers_own_rows() ? tiling_.of_block(rows_.count(group().rank())) : tiling_;
  }
  T* out() const { return out_ + sharing_.last_joint.delivered_at(tiling_); }

  /// From the gradient of the tokens, as out() is with zero padding rows (out() may be used for it), adds those of the
  /// parameters.
  void backward(Context<Space> const& context, T const* gradient) {
    Phase const phase("dchag::front_end::backward");
    gradient -= sharing_.last_joint.delivered_at(tiling_);
    for (Index tile = tiling_.tiles - 1; tile >= 0; --tile) {
      auto scope = context.workspace().scope();
      T* record = recompute ? nullptr : record_of(tile);
      if constexpr (recompute) {
        record = context.workspace().template push<T**>(record_rows_, tiling_.pitch).data();
        T* const out_again = context.workspace().template push<T**>(embed_, tiling_.pitch).data();
        forward_tile(context, tile, record, out_again);
      }
      backward_tile(context, tile, record, gradient + tile * embed_ * tiling_.pitch);
    }
    tree_.template each_running<first_token_level>([&](auto& unit, auto const&) { unit.finish(context); });
    if constexpr (folded > 0)
      tree_.folded_levels().finish(context);
    else
      tree_.each_leaf([&](auto& leaf, auto const&) { leaf.finish(context); });
    tokenizer_.finish(context);
  }

  /// The order of evaluation of each unit of a first level of CrossAttention that this rank takes part in, as of the
  /// latest forward().
  std::vector<Order> orders() {
    std::vector<Order> orders;
    if constexpr (Units::attention_first)
      tree_.each_leaf([&](auto& leaf, auto const&) { orders.push_back(leaf.order()); });
    return orders;
  }

 private:
  using Place = channels::UnitPlace;

  void begin(Context<Space> const& context, T const* images, Index const* keep, Index per_image, Index batch,
             Present const& present, SharedLocations const& where) {
    images_ = images;
    set_rows(batch * per_image, where);
    if constexpr (Units::attention_first) tree_.each_leaf([&](auto& leaf, auto const&) { leaf.choose(tiling_.rows); });
    places_.image = context.workspace().template push<Index**>(tiling_.tiles, tiling_.width).data();
    places_.corner = context.workspace().template push<Index**>(tiling_.tiles, tiling_.width).data();
    channels::find_patches(context, grid_, tiling_, rows_, keep, per_image, places_);
    out_ = context.workspace().template push<T***>(tiling_.tiles, embed_, tiling_.pitch).data();
    presence_.begin(context, present, places_.image);
    if (presence_.given()) check_presence(context);
    prepare(context);
    record_rows_ = lay_out_record();
  }

  void set_rows(Index rows, SharedLocations const& where) {
    bool const own_rows = delivers_own_rows();
    require(!own_rows || where.images * where.shares.extent == rows, "front end: own rows of ",
            where.images * where.shares.extent, " are asked for where there are ", rows);
    rows_ = own_rows ? channels::TileRows{where.images, where.shares, sharing_.rows_of_all ? where.group.rank() : 0}
                     : channels::TileRows{1, Shares::even(rows, 1), 0};
    tiling_ = sharing_.rows_of_all ? Tiling::of<T, Space>(rows_.count(rows_.rank))
              : own_rows           ? Tiling::of<T, Space>(rows_.images * rows_.shares.largest(), group().size())
                                   : Tiling::of<T, Space>(rows);
  }

  void check_presence(Context<Space> const& context) const {
    Units::template each_level<0>([&](auto level) {
      std::string const kind = std::tuple_element_t<level(), typename Units::Levels>::name;
      if constexpr (!PartialUnit<typename Units::template UnitOf<level()>, T, Space>)
        presence_.refuse_partial(context, level(), kind,
                                 "the unit cannot do without: let its forward and backward take PresentTokens");
      else if constexpr (Units::template is_linear<level()> && !Lacking::renormalizes)
        presence_.refuse_partial(context, level(), kind,
                                 "give the model Missing<Renormalize>, or a tree whose units have all or none of it");
    });
  }

  /// All tiles through one record.
  void forward_tiles(Context<Space> const& context) {
    auto scope = context.workspace().scope();
    T* const record = context.workspace().template push<T**>(record_rows_, tiling_.pitch).data();
    for (Index tile = 0; tile < tiling_.tiles; ++tile) forward_tile(context, tile, record, out_of(tile));
  }

  void prepare(Context<Space> const& context) {
    tokenizer_.prepare(context);
    if constexpr (folded > 0)
      tree_.folded_levels().prepare(context, &presence_);
    else
      tree_.each_leaf([&](auto& leaf, auto const&) { leaf.prepare(context); });
    tree_.template each_running<first_token_level>([&](auto& unit, auto const&) { unit.prepare(context); });
  }

  /// Where in a record the parts are, in rows of `pitch` numbers: the patches first.
  Index lay_out_record() {
    Index rows = grid_.channels * grid_.pixels();
    Units::template each_level<first_token_level>([&](auto level) {
      tokens_at_[level()] = rows;
      rows += tree_.held(level()) * embed_;
    });
    kept_at_[0] = rows;
    if constexpr (folded == 0) tree_.each_leaf([&](auto& leaf, auto const&) { rows += leaf.kept_per_row(); });
    Units::template each_level<first_token_level>([&](auto level) {
      kept_at_[level()] = rows;
      tree_.template each_running_of<level()>([&](auto& unit, auto const&) { rows += unit.kept_per_row(); });
    });
    return rows;
  }
  T* record_of(Index tile) const { return records_ + tile * record_rows_ * tiling_.pitch; }
  T* out_of(Index tile) const { return out_ + tile * embed_ * tiling_.pitch; }

  /// Where the result of a unit of a level goes: to the tokens that this rank holds in the next level, or, where
  /// another holds it, to a place that is forgotten.
  T* result_of(Place const& place, std::size_t level, T* record, T* forgotten, T* out) const {
    if (level + 1 == depth) return out;
    return place.result < 0 ? forgotten : record + (tokens_at_[level + 1] + place.result * embed_) * tiling_.pitch;
  }

  void forward_tile(Context<Space> const& context, Index tile, T* record, T* out) {
    Index const pitch = tiling_.pitch;
    auto scope = context.workspace().scope();
    T* const forgotten = sharing_.joint.alone() ? nullptr : push_token(context);
    channels::gather_patches(context, grid_, tiling_, images_, places_.of_tile(tiling_, tile), record,
                             presence_.absent());
    if constexpr (folded > 0) {
      T const* const factors = tree_.folded_levels().factors(context, tiling_, tile);
      tree_.folded_levels().scale(context, tiling_, factors, record);
      for (std::size_t g = 0; g < tree_.places(0).size(); ++g) {
        Place const& place = tree_.places(0)[g];
        if (!place.runs) continue;
        T* const to = result_of(place, folded - 1, record, forgotten, out);
        tree_.folded_levels().forward(context, tiling_, tile, factors, record, static_cast<Index>(g), to);
        if (place.shared) tree_.joint_of(folded - 1).sum(context, tiling_, embed_, to);
      }
    } else {
      T* kept = record + kept_at_[0] * pitch;
      tree_.each_leaf([&](auto& leaf, Place const& place) {
        auto inner = context.workspace().scope();
        leaf.forward(context, tiling_, record + place.first * grid_.pixels() * pitch, kept,
                     result_of(place, 0, record, forgotten, out), present_of(context, tile, leaf, place, 0));
        kept += leaf.kept_per_row() * pitch;
      });
    }
    Units::template each_level<first_token_level>([&](auto level) {
      T* kept = record + kept_at_[level()] * pitch;
      tree_.template each_running_of<level()>([&](auto& unit, Place const& place) {
        auto inner = context.workspace().scope();
        unit.forward(context, tiling_, record + (tokens_at_[level()] + place.first * embed_) * pitch, kept,
                     result_of(place, level(), record, forgotten, out),
                     present_of(context, tile, unit, place, level()));
        kept += unit.kept_per_row() * pitch;
      });
    });
  }

  template <class Unit>
  PresentTokens<T> present_of(Context<Space> const& context, Index tile, Unit const& unit, Place const& place,
                              std::size_t level) const {
    return presence_.of_unit(context, tiling_, tile, level, place, unit.gathers());
  }

  /// The gradient of a unit's result, on every rank that takes part in the unit.
  T const* slope_of(Context<Space> const& context, Place const& place, std::size_t level, T const* gradient,
                    T* shared) const {
    if (level + 1 == depth) return gradient;
    T const* const own = gradient + place.result * embed_ * tiling_.pitch;
    if (!place.shared) return own;
    if (place.result >= 0)
      context.copy(reshape<T*, Space>(shared, embed_ * tiling_.pitch),
                   reshape<T const*, Space>(own, embed_ * tiling_.pitch));
    sharing_.joint.broadcast(context, tiling_, embed_, place.owner, shared);
    return shared;
  }

  void backward_tile(Context<Space> const& context, Index tile, T const* record, T const* gradient) {
    Index const pitch = tiling_.pitch;
    T* const shared = sharing_.joint.alone() ? nullptr : push_token(context);
    Units::template each_token_level_down<depth>([&](auto level) {
      T* const below = context.workspace().template push<T***>(tree_.held(level()), embed_, pitch).data();
      T const* kept = record + kept_at_[level()] * pitch;
      tree_.template each_running_of<level()>([&](auto& unit, Place const& place) {
        auto inner = context.workspace().scope();
        unit.backward(context, tiling_, record + (tokens_at_[level()] + place.first * embed_) * pitch, kept,
                      slope_of(context, place, level(), gradient, shared), below + place.first * embed_ * pitch,
                      present_of(context, tile, unit, place, level()));
        kept += unit.kept_per_row() * pitch;
      });
      gradient = below;
    });
    if constexpr (folded > 0) {
      if (folded == depth) gradient = sharing_.last_joint.spread(context, tiling_, embed_, gradient, shared);
      T const* const factors = tree_.folded_levels().factors(context, tiling_, tile);
      for (std::size_t g = 0; g < tree_.places(0).size(); ++g)
        if (Place const& place = tree_.places(0)[g]; place.runs)
          tree_.folded_levels().backward(context, tiling_, tile, factors, record, static_cast<Index>(g),
                                         slope_of(context, place, folded - 1, gradient, shared));
    } else {
      T const* kept = record + kept_at_[0] * pitch;
      tree_.each_leaf([&](auto& leaf, Place const& place) {
        auto inner = context.workspace().scope();
        leaf.backward(context, tiling_, record + place.first * grid_.pixels() * pitch, kept,
                      slope_of(context, place, 0, gradient, shared), present_of(context, tile, leaf, place, 0));
        kept += leaf.kept_per_row() * pitch;
      });
    }
  }
  T* push_token(Context<Space> const& context) const {
    return context.workspace().template push<T**>(embed_, tiling_.pitch).data();
  }

  channels::ChannelSharing<T, Space> sharing_;
  channels::PatchGrid grid_;
  Index embed_;
  channels::Tokenizer<T, Space> tokenizer_;
  Units tree_;
  channels::Presence<T, Space> presence_;

  T const* images_ = nullptr;
  channels::PatchPlaces places_;
  Index record_rows_ = 0;
  channels::TileRows rows_{};
  Tiling tiling_;
  std::array<Index, depth> tokens_at_{}, kept_at_{};
  T *records_ = nullptr, *out_ = nullptr;
};

}  // namespace dchag
