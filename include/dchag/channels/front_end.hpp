#pragma once

#include <algorithm>
#include <array>
#include <dchag/channels/detail/checks.hpp>
#include <dchag/channels/evaluate/attention_leaf.hpp>
#include <dchag/channels/evaluate/folded_linear.hpp>
#include <dchag/channels/evaluate/tokenized.hpp>
#include <dchag/channels/groups.hpp>
#include <dchag/channels/join.hpp>
#include <dchag/channels/joint.hpp>
#include <dchag/channels/partition.hpp>
#include <dchag/channels/patches.hpp>
#include <dchag/channels/presence.hpp>
#include <dchag/channels/tree.hpp>
#include <dchag/channels/tree_shares.hpp>
#include <dchag/channels/units/joint_unit.hpp>
#include <deque>
#include <memory>
#include <string>
#include <tuple>

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
  using Levels = typename TreePolicy::levels;
  static constexpr std::size_t depth = TreePolicy::depth;
  template <std::size_t level>
  using UnitOf = typename std::tuple_element_t<level, Levels>::template Unit<T, Space>;
  template <std::size_t level>
  static constexpr bool is_linear = std::same_as<UnitOf<level>, channels::LinearUnit<T, Space>>;
  static constexpr bool published = !Evaluation::allows(Order::token_space) && !Evaluation::allows(Order::patch_space);

  template <std::size_t level = 0>
  static constexpr std::size_t leading_linear() {
    if constexpr (level < depth) {
      if constexpr (is_linear<level>) return 1 + leading_linear<level + 1>();
    }
    return 0;
  }
  /// Leading Linear levels are folded into one, unless evaluation is as published.
  static constexpr std::size_t folded = published ? 0 : leading_linear();
  static constexpr bool attention_first = std::same_as<UnitOf<0>, channels::CrossAttentionUnit<T, Space>>;
  static constexpr bool divides_heads = published && depth == 1 && attention_first;  // where channels are not divided
  static constexpr std::size_t first_token_level = folded > 0 ? folded : 1;

  template <std::size_t level>
  using JointUnitOf = channels::JointUnit<UnitOf<level>, T, Space>;
  using AttentionLeaf = channels::AttentionLeaf<T, Space, Evaluation>;
  using TokenizedLeaf = channels::TokenizedLeaf<T, Space, JointUnitOf<0>, published>;
  using Leaf = std::conditional_t<attention_first, AttentionLeaf, TokenizedLeaf>;
  template <class Indices>
  struct Units;
  template <std::size_t... level>
  struct Units<std::index_sequence<level...>> {
    using type = std::tuple<std::deque<JointUnitOf<level>>...>;
  };

 public:
  /// Throws where the patch does not divide the image, the heads the features, a level has more groups than tokens, or
  /// the join cannot be as the policy wants it. `grid` has the channels of all ranks of the group; `owners` says for
  /// each which rank owns it, or every_rank for all, and may be empty in a group of one.
  FrontEnd(Parameters<T, Space>& parameters, channels::PatchGrid const& grid, Index embed, Index heads,
           Communicator const& group = {}, std::vector<int> owners = {},
           channels::Delivery delivery = channels::Delivery::whole)
      : joint_(channels::everywhere(owners) ? Communicator() : group),
        last_joint_(joint_.group(), delivery),
        rows_of_all_(group.size() > 1 && joint_.alone() && delivery == channels::Delivery::own_rows),
        head_group_(divides_heads && channels::everywhere(owners) && !rows_of_all_ ? group : Communicator()),
        owners_(channels::detail::checked_owners(std::move(owners), channels::detail::checked(grid, embed, heads),
                                                 joint_.group().size())),
        own_(channels::channels_of(owners_, joint_.group().rank())),
        grid_{static_cast<Index>(own_.size()), grid.height, grid.width, grid.patch},
        embed_(embed),
        tokenizer_(parameters, grid.channels, embed, grid.pixels(), channels::ranges_of(own_),
                   group.size() == 1 || !joint_.alone() ? Sharing::divided
                   : rows_of_all_                       ? Sharing::summed
                                                        : Sharing::copied) {
    Index tokens = grid.channels;
    each_level<0>([&](auto level) {
      constexpr Index groups = std::tuple_element_t<level(), Levels>::groups;
      require(groups <= tokens, "Tree: level ", level(), " has ", groups, " groups, but only ", tokens,
              level() == 0 ? " channels" : " tokens", " reach it: use at most ", tokens);
      groups_[level()] = {tokens, groups};
      tokens = groups;
    });
    share_out();
    each_level<0>([&](auto level) { build<level()>(parameters, heads); });
    if constexpr (folded > 0) build_folded(std::make_index_sequence<folded>());
  }
  FrontEnd(FrontEnd const&) = delete;

  /// Of this rank's channels.
  channels::PatchGrid const& grid() const { return grid_; }
  /// This rank's channels, ascending: those of the images that it gives to forward.
  std::vector<Index> const& own_channels() const { return own_; }
  Index const* own_channels_on_device() const { return presence_.own(); }
  /// The ranks that divide the channels: this one alone where it has all of them.
  Communicator const& group() const { return joint_.group(); }

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
  bool delivers_own_rows() const { return rows_of_all_ || last_joint_.delivers_own_rows(); }

  /// Of the rows that are delivered.
  Tiling tiling() const {
    return last_joint_.delivers_own_rows() ? tiling_.of_block(rows_.count(group().rank())) : tiling_;
  }
  T* out() const { return out_ + last_joint_.delivered_at(tiling_); }

  /// From the gradient of the tokens, as out() is with zero padding rows (out() may be used for it), adds those of the
  /// parameters.
  void backward(Context<Space> const& context, T const* gradient) {
    Phase const phase("dchag::front_end::backward");
    gradient -= last_joint_.delivered_at(tiling_);
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
    each_running<first_token_level>([&](auto& unit, auto const&) { unit.finish(context); });
    if constexpr (folded > 0)
      folded_->finish(context);
    else
      each_leaf([&](auto& leaf, auto const&) { leaf.finish(context); });
    tokenizer_.finish(context);
  }

  /// The order of evaluation of each unit of a first level of CrossAttention that this rank takes part in, as of the
  /// latest forward().
  std::vector<Order> orders() {
    std::vector<Order> orders;
    if constexpr (attention_first) each_leaf([&](auto& leaf, auto const&) { orders.push_back(leaf.order()); });
    return orders;
  }

 private:
  using Place = channels::UnitPlace;

  template <std::size_t first, class F>
  static void each_level(F const& f) {
    if constexpr (first < depth) {
      f(std::integral_constant<std::size_t, first>());
      each_level<first + 1>(f);
    }
  }
  template <std::size_t last, class F>
  static void each_token_level_down(F const& f) {
    if constexpr (last > first_token_level) {
      f(std::integral_constant<std::size_t, last - 1>());
      each_token_level_down<last - 1>(f);
    }
  }

  /// The stage of a level: folded levels are one stage, the first.
  static constexpr std::size_t stage_of(std::size_t level) {
    return level < first_token_level ? 0 : level - first_token_level + 1;
  }
  std::vector<Place> const& places(std::size_t level) const { return shares_.levels[stage_of(level)].units; }
  Index held(std::size_t level) const { return shares_.levels[stage_of(level)].held; }

  /// f(unit, place) for the units over tokens that this rank takes part in, from a level on.
  template <std::size_t first, class F>
  void each_running(F const& f) {
    each_level<first>([&](auto level) { each_running_of<level()>(f); });
  }
  template <std::size_t level, class F>
  void each_running_of(F const& f) {
    auto& units = std::get<level>(units_);
    for (std::size_t g = 0; g < units.size(); ++g)
      if (places(level)[g].runs) f(units[g], places(level)[g]);
  }
  template <class F>
  void each_leaf(F const& f) {
    for (std::size_t g = 0; g < leaves_.size(); ++g)
      if (places(0)[g].runs) f(leaves_[g], places(0)[g]);
  }

  void share_out() {
    std::vector<std::vector<Index>> begins{channels::begins_of(groups_.data(), first_token_level)};
    for (std::size_t level = first_token_level; level < depth; ++level)
      begins.push_back(channels::begins_of(&groups_[level], 1));
    shares_ = channels::TreeShares(owners_, begins, group().rank(), group().size());
    std::vector<std::vector<Index>> held{own_};
    for (std::size_t level = 1; level < depth; ++level)
      held.push_back(level < first_token_level ? std::vector<Index>() : shares_.levels[stage_of(level)].tokens);
    presence_ = channels::Presence<T, Space>({groups_.begin(), groups_.end()}, held);
  }

  /// Throws where a unit that has channels for its tokens is shared and Join says Gather, which needs tokens.
  void check_channels(Place const& place) const {
    require(!place.shared || !std::same_as<Joining, Gather>,
            "Join: a unit of the first level has channels of several ranks, which Gather cannot do: begin the Tree "
            "with a level whose number of groups is a multiple of the ",
            group().size(), " model ranks, or use Merge");
  }

  /// Whether the ranks merge what they have of a shared unit. What has channels for its tokens is merged wherever it
  /// can be.
  template <std::size_t level>
  bool merges(Place const& place, Index heads) const {
    constexpr bool can = SharedUnit<UnitOf<level>, T, Space>;
    if constexpr (!can) return false;
    if constexpr (level < first_token_level) {
      check_channels(place);
      return true;
    }
    std::vector<Index> counts(static_cast<std::size_t>(group().size()), 0);
    for (int holder : place.holders) ++counts[static_cast<std::size_t>(holder)];
    return Joining::merges(JoinSize{group().size(), *std::max_element(counts.begin(), counts.end()), embed_,
                                    is_linear<level> ? 0 : heads, joint_of(level).delivers_own_rows()});
  }
  channels::Joint<T, Space> const& joint_of(std::size_t level) const {
    return stage_of(level) + 1 == shares_.levels.size() ? last_joint_ : joint_;
  }
  /// How the ranks hold the parameters of a unit.
  Sharing sharing_of(std::size_t level, Place const& place, bool merged) const {
    if (joint_.alone()) return rows_of_all_ ? Sharing::summed : Sharing::copied;
    if (!place.shared) return Sharing::divided;
    return merged || joint_of(level).delivers_own_rows() ? Sharing::summed : Sharing::copied;
  }

  template <std::size_t level>
  void build(Parameters<T, Space>& parameters, Index heads) {
    for (Index group = 0; group < groups_[level].groups; ++group) {
      std::string const prefix = "aggregator." + std::to_string(level) + "." + std::to_string(group) + ".";
      UnitShape const shape{groups_[level].size(group), embed_, heads};
      if constexpr (level < folded) {
        auto const hold = parameters.hold(joint_.alone() && !rows_of_all_ ? Sharing::copied : Sharing::summed);
        std::get<level>(units_).emplace_back(parameters, prefix, shape);
      } else {
        build_unit<level>(parameters, prefix, shape, places(level)[static_cast<std::size_t>(group)]);
      }
    }
  }
  template <std::size_t level>
  void build_unit(Parameters<T, Space>& parameters, std::string const& prefix, UnitShape shape, Place const& place) {
    bool const merged = place.shared && merges<level>(place, shape.heads);
    auto const& joint = joint_of(level);
    auto const hold = parameters.hold(sharing_of(level, place, merged), place.runs);
    channels::ChannelGroup const own{place.first, place.count};
    if constexpr (level == 0 && attention_first) {
      leaves_.emplace_back(parameters, prefix, shape, tokenizer_, own, head_group_);
      if (place.shared) leaves_.back().share(joint);
    } else {
      auto& unit = std::get<level>(units_).emplace_back(parameters, prefix, shape);
      UnitShare<T, Space> const share{joint, place.holders};
      if constexpr (SharedUnit<UnitOf<level>, T, Space>)
        if (merged) unit.merge(share);
      if (place.shared && !merged) unit.gather(share);
      if constexpr (level == 0) leaves_.emplace_back(unit, tokenizer_, own);
    }
  }
  template <std::size_t... level>
  void build_folded(std::index_sequence<level...>) {
    for (Place const& place : places(0)) check_channels(place);
    std::vector<std::vector<channels::LinearUnit<T, Space>*>> linear(folded);
    (
        [&] {
          for (auto& unit : std::get<level>(units_)) linear[level].push_back(&unit.unit());
        }(),
        ...);
    folded_ =
        std::make_unique<channels::FoldedLinear<T, Space>>(std::move(linear), tokenizer_, owners_, group().rank());
  }

  void begin(Context<Space> const& context, T const* images, Index const* keep, Index per_image, Index batch,
             Present const& present, SharedLocations const& where) {
    images_ = images;
    set_rows(batch * per_image, where);
    if constexpr (attention_first)
      for (auto& leaf : leaves_) leaf.choose(tiling_.rows);
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
    rows_ = own_rows ? channels::TileRows{where.images, where.shares, rows_of_all_ ? where.group.rank() : 0}
                     : channels::TileRows{1, Shares::even(rows, 1), 0};
    tiling_ = rows_of_all_ ? Tiling::of<T, Space>(rows_.count(rows_.rank))
              : own_rows   ? Tiling::of<T, Space>(rows_.images * rows_.shares.largest(), group().size())
                           : Tiling::of<T, Space>(rows);
  }

  void check_presence(Context<Space> const& context) const {
    each_level<0>([&](auto level) {
      std::string const kind = std::tuple_element_t<level(), Levels>::name;
      if constexpr (!PartialUnit<UnitOf<level()>, T, Space>)
        presence_.refuse_partial(context, level(), kind,
                                 "the unit cannot do without: let its forward and backward take PresentTokens");
      else if constexpr (is_linear<level()> && !Lacking::renormalizes)
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
      folded_->prepare(context, &presence_);
    else
      each_leaf([&](auto& leaf, auto const&) { leaf.prepare(context); });
    each_running<first_token_level>([&](auto& unit, auto const&) { unit.prepare(context); });
  }

  /// Where in a record the parts are, in rows of `pitch` numbers: the patches first.
  Index lay_out_record() {
    Index rows = grid_.channels * grid_.pixels();
    each_level<first_token_level>([&](auto level) {
      tokens_at_[level()] = rows;
      rows += held(level()) * embed_;
    });
    kept_at_[0] = rows;
    if constexpr (folded == 0) each_leaf([&](auto& leaf, auto const&) { rows += leaf.kept_per_row(); });
    each_level<first_token_level>([&](auto level) {
      kept_at_[level()] = rows;
      each_running_of<level()>([&](auto& unit, auto const&) { rows += unit.kept_per_row(); });
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
    T* const forgotten = joint_.alone() ? nullptr : push_token(context);
    channels::gather_patches(context, grid_, tiling_, images_, places_.of_tile(tiling_, tile), record,
                             presence_.absent());
    if constexpr (folded > 0) {
      T const* const factors = folded_->factors(context, tiling_, tile);
      folded_->scale(context, tiling_, factors, record);
      for (std::size_t g = 0; g < places(0).size(); ++g) {
        Place const& place = places(0)[g];
        if (!place.runs) continue;
        T* const to = result_of(place, folded - 1, record, forgotten, out);
        folded_->forward(context, tiling_, tile, factors, record, static_cast<Index>(g), to);
        if (place.shared) joint_of(folded - 1).sum(context, tiling_, embed_, to);
      }
    } else {
      T* kept = record + kept_at_[0] * pitch;
      each_leaf([&](auto& leaf, Place const& place) {
        auto inner = context.workspace().scope();
        leaf.forward(context, tiling_, record + place.first * grid_.pixels() * pitch, kept,
                     result_of(place, 0, record, forgotten, out), present_of(context, tile, leaf, place, 0));
        kept += leaf.kept_per_row() * pitch;
      });
    }
    each_level<first_token_level>([&](auto level) {
      T* kept = record + kept_at_[level()] * pitch;
      each_running_of<level()>([&](auto& unit, Place const& place) {
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
    joint_.broadcast(context, tiling_, embed_, place.owner, shared);
    return shared;
  }

  void backward_tile(Context<Space> const& context, Index tile, T const* record, T const* gradient) {
    Index const pitch = tiling_.pitch;
    T* const shared = joint_.alone() ? nullptr : push_token(context);
    each_token_level_down<depth>([&](auto level) {
      T* const below = context.workspace().template push<T***>(held(level()), embed_, pitch).data();
      T const* kept = record + kept_at_[level()] * pitch;
      each_running_of<level()>([&](auto& unit, Place const& place) {
        auto inner = context.workspace().scope();
        unit.backward(context, tiling_, record + (tokens_at_[level()] + place.first * embed_) * pitch, kept,
                      slope_of(context, place, level(), gradient, shared), below + place.first * embed_ * pitch,
                      present_of(context, tile, unit, place, level()));
        kept += unit.kept_per_row() * pitch;
      });
      gradient = below;
    });
    if constexpr (folded > 0) {
      if (folded == depth) gradient = last_joint_.spread(context, tiling_, embed_, gradient, shared);
      T const* const factors = folded_->factors(context, tiling_, tile);
      for (std::size_t g = 0; g < places(0).size(); ++g)
        if (Place const& place = places(0)[g]; place.runs)
          folded_->backward(context, tiling_, tile, factors, record, static_cast<Index>(g),
                            slope_of(context, place, folded - 1, gradient, shared));
    } else {
      T const* kept = record + kept_at_[0] * pitch;
      each_leaf([&](auto& leaf, Place const& place) {
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

  channels::Joint<T, Space> joint_, last_joint_;  // of the units below the last, and of the last
  bool rows_of_all_;                              // this rank has all channels, and delivers its own rows alone
  Communicator head_group_;
  std::vector<int> owners_;
  std::vector<Index> own_;
  channels::PatchGrid grid_;
  Index embed_;
  channels::Tokenizer<T, Space> tokenizer_;
  std::array<channels::Groups, depth> groups_{};
  channels::TreeShares shares_;
  channels::Presence<T, Space> presence_;
  typename Units<std::make_index_sequence<depth>>::type units_;
  std::deque<Leaf> leaves_;
  std::unique_ptr<channels::FoldedLinear<T, Space>> folded_;

  T const* images_ = nullptr;
  channels::PatchPlaces places_;
  Index record_rows_ = 0;
  channels::TileRows rows_{};
  Tiling tiling_;
  std::array<Index, depth> tokens_at_{}, kept_at_{};
  T *records_ = nullptr, *out_ = nullptr;
};

}  // namespace dchag
