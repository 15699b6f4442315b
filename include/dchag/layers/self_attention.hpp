#pragma once

#include <dchag/layers/attention.hpp>
#include <dchag/layers/redistribute.hpp>
#include <variant>

namespace dchag::layers {

// Attention among all locations of an image, from the rows of queries, keys and values [rows, 3 * width] that a rank
// has to the rows [rows, width] of its result. Each keeps what its own backward needs, on the workspace; whoever calls
// keep() releases it. Between keep() and attend(), projected() says where the queries, keys and values are to stand.

/// A rank has all locations, and some heads or all.
template <class T, class Space>
class LocalAttention {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  LocalAttention(Index heads, Index head_size) : attention_(heads, head_size), columns_(3 * heads * head_size) {}

  void keep(Context<Space> const& context, Index rows, Index images) {
    projected_ = context.workspace().template push<T**>(rows, columns_);
    attention_.keep(context, images, rows / images);
  }
  Rows projected(Context<Space> const&) const { return projected_; }
  void attend(Context<Space> const& context, ConstRows projected, Rows out) const {
    attention_.attend(context, projected, out);
  }
  /// Writes the gradient of what projected() was, given the result `out` and its gradient.
  void backward(Context<Space> const& context, ConstRows out, ConstRows dout, Rows dprojected) const {
    attention_.backward(context, ConstRows(Rows(projected_)), out, dout, dprojected);
  }

 private:
  Attention<T, Space> attention_;
  Index columns_;
  View<T**, Space> projected_;
};

/// A rank has some locations and all heads; for attention it has all locations and some heads, by all-to-all: two
/// forward, of 3 and 1 width a row, and two backward.
template <class T, class Space>
class HeadExchange {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  /// Heads of all ranks, whose number divides them.
  HeadExchange(SharedLocations const& where, Index heads, Index head_size)
      : where_(&where),
        width_(heads / where.group.size() * head_size),
        columns_(3 * heads * head_size),
        attention_(heads / where.group.size(), head_size) {}

  void keep(Context<Space> const& context, Index rows, Index images) {
    rows_ = rows;
    Index const all = images * where_->locations();
    projected_ = context.workspace().template push<T**>(all, 3 * width_);
    attended_ = context.workspace().template push<T**>(all, width_);
    attention_.keep(context, images, where_->locations());
  }
  Rows projected(Context<Space> const& context) const {
    return context.workspace().template push<T**>(rows_, columns_);
  }
  void attend(Context<Space> const& context, ConstRows projected, Rows out) const {
    Rows const mine = projected_, attended = attended_;
    locations_to_heads(context, *where_, 3, projected, mine);
    attention_.attend(context, mine, attended);
    heads_to_locations(context, *where_, 1, attended, out);
  }
  void backward(Context<Space> const& context, ConstRows, ConstRows dout, Rows dprojected) const {
    Rows const mine = projected_, attended = attended_;
    auto scope = context.workspace().scope();
    Rows const slope = context.workspace().template push<T**>(mine.rows, width_),
               gradient = context.workspace().template push<T**>(mine.rows, 3 * width_);
    locations_to_heads(context, *where_, 1, dout, slope);
    attention_.backward(context, mine, attended, slope, gradient);
    heads_to_locations(context, *where_, 3, gradient, dprojected);
  }

 private:
  SharedLocations const* where_;
  Index width_, columns_;  // of the heads that a rank works on; of queries, keys and values of all heads
  Attention<T, Space> attention_;
  Index rows_ = 0;
  View<T**, Space> projected_, attended_;  // [images * locations, 3 width], [images * locations, width]
};

/// A rank has some locations and all heads; its own queries meet the keys and values of all ranks, which are gathered
/// here and again in backward, where the ranks' parts of their gradients are summed: an all-gather forward, an
/// all-gather and a reduce-scatter backward, of 2 width a row. For any number of heads.
template <class T, class Space>
class KeyGather {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  KeyGather(SharedLocations const& where, Index heads, Index head_size)
      : where_(&where), width_(heads * head_size), attention_(heads, head_size) {}

  void keep(Context<Space> const& context, Index rows, Index images) {
    images_ = images;
    projected_ = context.workspace().template push<T**>(rows, 3 * width_);
    attention_.keep(context, images, where_->own());
  }
  Rows projected(Context<Space> const&) const { return projected_; }
  void attend(Context<Space> const& context, ConstRows projected, Rows out) const {
    auto scope = context.workspace().scope();
    attention_.attend(context, gathered(context, projected), out);
  }
  void backward(Context<Space> const& context, ConstRows out, ConstRows dout, Rows dprojected) const {
    auto scope = context.workspace().scope();
    auto const in = gathered(context, ConstRows(Rows(projected_)));
    Rows const both = push_keys(context);
    if (where_->own() == 0) context.fill(reshape<T**, Space>(both.data, both.rows, both.columns), T{0});
    attention_.backward(
        context, in, out, dout,
        {dprojected.columns_at(0, width_), both.columns_at(0, width_), both.columns_at(width_, width_)});
    reduce_locations(context, *where_, both, dprojected.columns_at(width_, 2 * width_));
  }

 private:
  /// [images * locations, keys and values]
  Rows push_keys(Context<Space> const& context) const {
    return context.workspace().template push<T**>(images_ * where_->locations(), 2 * width_);
  }
  AttentionRows<T const> gathered(Context<Space> const& context, ConstRows projected) const {
    Rows const both = push_keys(context);
    gather_locations(context, *where_, projected.columns_at(width_, 2 * width_), both);
    return {projected.columns_at(0, width_), both.columns_at(0, width_), both.columns_at(width_, width_)};
  }

  SharedLocations const* where_;
  Index width_;
  Attention<T, Space> attention_;
  Index images_ = 0;
  View<T**, Space> projected_;  // [own rows, 3 width]
};

/// A rank has some locations and all heads, which are exchanged where the ranks divide them and gathered otherwise.
template <class T, class Space>
class SequenceAttention {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;

  /// `where` outlives this object, and says at every call what the rows are.
  SequenceAttention(SharedLocations const& where, Index heads, Index head_size)
      : way_(choose(where, heads, head_size)) {}

  void keep(Context<Space> const& context, Index rows, Index images) {
    std::visit([&](auto& way) { way.keep(context, rows, images); }, way_);
  }
  Rows projected(Context<Space> const& context) const {
    return std::visit([&](auto const& way) { return way.projected(context); }, way_);
  }
  void attend(Context<Space> const& context, ConstRows projected, Rows out) const {
    std::visit([&](auto const& way) { way.attend(context, projected, out); }, way_);
  }
  void backward(Context<Space> const& context, ConstRows out, ConstRows dout, Rows dprojected) const {
    std::visit([&](auto const& way) { way.backward(context, out, dout, dprojected); }, way_);
  }

 private:
  using Way = std::variant<LocalAttention<T, Space>, HeadExchange<T, Space>, KeyGather<T, Space>>;

  static Way choose(SharedLocations const& where, Index heads, Index head_size) {
    if (where.group.size() == 1) return LocalAttention<T, Space>(heads, head_size);
    if (heads % where.group.size() == 0) return HeadExchange<T, Space>(where, heads, head_size);
    return KeyGather<T, Space>(where, heads, head_size);
  }

  Way way_;
};

}  // namespace dchag::layers
