#pragma once

#include <dchag/core/error.hpp>
#include <dchag/layers/dropout.hpp>
#include <dchag/layers/linear.hpp>
#include <dchag/layers/redistribute.hpp>
#include <dchag/layers/self_attention.hpp>
#include <dchag/parallel/communicator.hpp>
#include <dchag/parallel/shares.hpp>
#include <dchag/parallel/strategy.hpp>
#include <string>

namespace dchag::layers {

/// How transformer blocks are spread over the ranks of a group, for a strategy of the model axis: what a rank holds of
/// their parameters, which rows are its own (those of its residual stream), which rows its branches work on, and how
/// the branches' results are summed over the ranks. A block says these things in the same order for every strategy.
///
/// Specialize it for a strategy of your own.
template <class Strategy>
class Spread {
  static_assert(sizeof(Strategy) == 0,
                "a transformer is spread by Tensor, TensorSequence, Sequence or Replicated: specialize "
                "dchag::layers::Spread for a strategy of the model axis of your own");
};

/// Every rank has all rows and all weights: also what one rank does.
template <>
class Spread<Replicated> {
 public:
  explicit Spread(Communicator const& group = {}) : where_{group} {}

  /// Throws Error where heads cannot be spread so.
  void check([[maybe_unused]] Index heads, [[maybe_unused]] Index embed,
             [[maybe_unused]] std::string const& owner) const {}

  // What this rank holds. Whatever is not divided is placed `everywhere`.
  Placement everywhere() const { return {}; }
  LinearShare qkv(Index width, [[maybe_unused]] Index heads) const { return {width, 3 * width}; }
  LinearShare proj(Index width, [[maybe_unused]] Index heads) const { return {width, width}; }
  LinearShare fc1(Index width, Index hidden) const { return {width, hidden}; }
  LinearShare fc2(Index width, Index hidden) const { return {hidden, width}; }
  template <class T, class Space>
  LocalAttention<T, Space> attention(Index width, Index heads) const {
    return {heads, width / heads};
  }

  /// Called before each pass forward. Where divides_rows is true, locations() says which rows are this rank's own.
  static constexpr bool divides_rows = false;
  void begin([[maybe_unused]] Index rows, [[maybe_unused]] Index images) {}
  SharedLocations const& locations() const { return where_; }

  // Rows of a branch: how many; pushed; those among them that are this rank's own; and the others' filled in.
  Index branch_rows(Index own_rows) const { return own_rows; }
  template <class T, class Space>
  linalg::Matrix<T> push(Context<Space> const& context, Index own_rows, Index columns) const {
    return context.workspace().template push<T**>(own_rows, columns);
  }
  template <class T>
  linalg::Matrix<T> own(linalg::Matrix<T> branch) const {
    return branch;
  }
  template <class Space, class T>
  void gather(Context<Space> const&, linalg::Matrix<T>) const {}

  /// stream += the sum over the ranks of in W^T, and b.
  template <class Space, class T>
  void add(Context<Space> const& context, Linear<T, Space> const& linear, linalg::Matrix<T> in,
           linalg::Matrix<T> stream) const {
    linear.add_forward(context, in, stream);
  }
  /// Own rows of the sum over the ranks of in W^T, and b; pushes.
  template <class Space, class T>
  linalg::Matrix<T> result(Context<Space> const& context, Linear<T, Space> const& linear, linalg::Matrix<T> in) const {
    linalg::Matrix<T> const rows = context.workspace().template push<T**>(in.rows, linear.out());
    linear.forward(context, in, rows);
    return rows;
  }
  /// Own rows of a gradient as rows of a branch; may push.
  template <class Space, class T>
  linalg::Matrix<T> gathered(Context<Space> const&, linalg::Matrix<T> own) const {
    return own;
  }
  /// Own rows of the sum over the ranks of a branch, whose rows are used up; may push.
  template <class Space, class T>
  linalg::Matrix<T> sum(Context<Space> const&, linalg::Matrix<T> branch) const {
    return branch;
  }

  // Which elements this rank has of the stream [own rows, width] and of hidden features [branch rows, own of hidden].
  HeldElements stream_elements(Index own_rows, Index width) const { return {all(own_rows), 0, width}; }
  HeldElements hidden_elements(Index rows, Index hidden) const { return {all(rows), 0, hidden}; }

 protected:
  static OwnRows all(Index rows) { return {rows, 0, rows}; }
  HeldElements own_elements(Index columns) const { return {where_.rows(), 0, columns}; }
  bool alone() const { return where_.group.size() == 1; }

  SharedLocations where_;
};

/// Every rank has all weights and its own locations of every image, which meet in the attention alone.
template <>
class Spread<Sequence> : public Spread<Replicated> {
 public:
  using Spread<Replicated>::Spread;

  Placement everywhere() const { return alone() ? Placement{} : Placement::summed(); }
  LinearShare qkv(Index width, Index) const { return {width, 3 * width, everywhere(), everywhere()}; }
  LinearShare proj(Index width, Index) const { return {width, width, everywhere(), everywhere()}; }
  LinearShare fc1(Index width, Index hidden) const { return {width, hidden, everywhere(), everywhere()}; }
  LinearShare fc2(Index width, Index hidden) const { return {hidden, width, everywhere(), everywhere()}; }
  template <class T, class Space>
  SequenceAttention<T, Space> attention(Index width, Index heads) const {
    return {where_, heads, width / heads};
  }

  static constexpr bool divides_rows = true;
  void begin(Index rows, Index images) {
    where_.images = images;
    where_.shares = Shares::even(rows / images, where_.group.size());
  }
  HeldElements stream_elements(Index, Index width) const { return own_elements(width); }
  HeldElements hidden_elements(Index, Index hidden) const { return own_elements(hidden); }
};

/// Every rank has all rows and its own heads and hidden features (Shoeybi et al., 2019): two all-reduces a block
/// forward, two backward.
template <>
class Spread<Tensor> : public Spread<Replicated> {
 public:
  using Spread<Replicated>::Spread;

  void check(Index heads, Index embed, std::string const& owner) const {
    Index const ranks = where_.group.size();
    if (heads % ranks == 0) return;
    std::string remedy;
    for (Index more = ranks; more <= embed && remedy.empty(); more += ranks)
      if (more >= heads && embed % more == 0) remedy = owner + "heads = " + std::to_string(more) + ", ";
    Index fewer = ranks;
    while (heads % fewer != 0) --fewer;
    fail(owner, "heads = ", heads, " cannot be divided among the ", ranks, " ranks of the model axis: choose ", remedy,
         "model = ", fewer, ", or the strategy Sequence or Replicated");
  }

  LinearShare qkv(Index width, Index heads) const {
    Index const size = width / heads;
    Range const own = share(heads);
    return {width, 3 * own.count * size, divided(3, heads, size * width, own), divided(3, heads, size, own)};
  }
  LinearShare proj(Index width, Index heads) const {
    Index const size = width / heads;
    Range const own = share(heads);
    return {own.count * size, width, divided(width, heads, size, own), {}};
  }
  LinearShare fc1(Index width, Index hidden) const {
    Range const own = share(hidden);
    return {width, own.count, divided(1, hidden, width, own), divided(1, hidden, 1, own)};
  }
  LinearShare fc2(Index width, Index hidden) const {
    Range const own = share(hidden);
    return {own.count, width, divided(width, hidden, 1, own), {}};
  }
  template <class T, class Space>
  LocalAttention<T, Space> attention(Index width, Index heads) const {
    return {share(heads).count, width / heads};
  }

  /// The first rank brings the stream and the bias into the sum.
  template <class Space, class T>
  void add(Context<Space> const& context, Linear<T, Space> const& linear, linalg::Matrix<T> in,
           linalg::Matrix<T> stream) const {
    if (where_.group.rank() == 0)
      linear.add_forward(context, in, stream);
    else
      linear.product(context, in, stream);
    sum(context, stream);
  }
  template <class Space, class T>
  linalg::Matrix<T> result(Context<Space> const& context, Linear<T, Space> const& linear, linalg::Matrix<T> in) const {
    linalg::Matrix<T> const rows = context.workspace().template push<T**>(in.rows, linear.out());
    if (where_.group.rank() == 0)
      linear.forward(context, in, rows);
    else
      linear.product(context, in, rows);
    return sum(context, rows);
  }
  template <class Space, class T>
  linalg::Matrix<T> sum(Context<Space> const& context, linalg::Matrix<T> branch) const {
    where_.group.all_reduce(context, reshape<T*, Space>(branch.data, branch.rows * branch.columns));
    return branch;
  }

  HeldElements hidden_elements(Index rows, Index hidden) const { return {all(rows), share(hidden).begin, hidden}; }

 protected:
  Range share(Index extent) const { return Shares::even(extent, where_.group.size()).range(where_.group.rank()); }
  Placement divided(Index outer, Index extent, Index inner, Range own) const {
    return alone() ? Placement{} : Placement::divided(outer, extent, inner, {own});
  }
};

}  // namespace dchag::layers
