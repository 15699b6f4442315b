#pragma once

#include <dchag/layers/rows.hpp>
#include <dchag/layers/spread.hpp>

namespace dchag::layers {

namespace detail {

/// to += from
template <class Space, class T>
void add_rows(Context<Space> const& context, linalg::Matrix<T> from, linalg::Matrix<T> to) {
  T const* const source = from.data;
  T* const sum = to.data;
  Index const columns = to.columns, from_stride = from.stride, to_stride = to.stride;
  row_loop<T>(
      context, "dchag::spread::add_rows", to.rows, KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
        T const* const in = source + r * from_stride;
        T* const out = sum + r * to_stride;
        row.each(columns, [&]<class L>(Index j) { store(out + j, load<L>(out + j) + load<L>(in + j)); });
      });
}

}  // namespace detail

/// As Tensor, but with its own rows alone between the branches (Korthikanti et al., 2022): each all-reduce becomes a
/// reduce-scatter and an all-gather, and backward gathers the rows that went into a branch once more.
///
/// Rows of a branch stand in a buffer of equal pieces, a rank's own in its piece, with padding at the end.
template <>
class Spread<TensorSequence> : public Spread<Tensor> {
 public:
  using Spread<Tensor>::Spread;

  Placement everywhere() const { return alone() ? Placement{} : Placement::summed(); }
  LinearShare proj(Index width, Index heads) const { return with_bias(Spread<Tensor>::proj(width, heads)); }
  LinearShare fc2(Index width, Index hidden) const { return with_bias(Spread<Tensor>::fc2(width, hidden)); }

  static constexpr bool divides_rows = true;
  void begin(Index rows, [[maybe_unused]] Index images) {
    where_.images = 1;
    where_.shares = Shares::padded(rows, where_.group.size());
  }

  Index branch_rows([[maybe_unused]] Index own_rows) const { return where_.locations(); }
  template <class T, class Space>
  linalg::Matrix<T> push(Context<Space> const& context, [[maybe_unused]] Index own_rows, Index columns) const {
    T* const data = context.workspace().template push<T**>(where_.group.size() * where_.padded(), columns).data();
    return {data, where_.locations(), columns};
  }
  template <class T>
  linalg::Matrix<T> own(linalg::Matrix<T> branch) const {
    return branch.rows_at(where_.group.rank() * where_.padded(), where_.own());
  }
  template <class Space, class T>
  void gather(Context<Space> const& context, linalg::Matrix<T> branch) const {
    Index const piece = where_.padded() * branch.columns, ranks = where_.group.size();
    clear_padding(context, branch);
    where_.group.all_gather(context, reshape<T*, Space>(own(branch).data, piece),
                            reshape<T*, Space>(branch.data, ranks * piece));
  }
  template <class Space, class T>
  void add(Context<Space> const& context, Linear<T, Space> const& linear, linalg::Matrix<T> in,
           linalg::Matrix<T> stream) const {
    if (alone()) return linear.add_forward(context, in, stream);
    auto scope = context.workspace().scope();
    auto const branch = push<T>(context, stream.rows, stream.columns);
    linear.product(context, in, branch);
    detail::add_rows(context, sum(context, branch), stream);
    linear.add_bias(context, stream, T{1});
  }
  template <class Space, class T>
  linalg::Matrix<T> result(Context<Space> const& context, Linear<T, Space> const& linear, linalg::Matrix<T> in) const {
    if (alone()) return Spread<Replicated>::result(context, linear, in);
    auto const branch = push<T>(context, where_.own(), linear.out());
    linear.product(context, in, branch);
    auto const own_rows = sum(context, branch);
    linear.add_bias(context, own_rows, T{1});
    return own_rows;
  }
  HeldElements stream_elements(Index, Index width) const { return own_elements(width); }
  template <class Space, class T>
  linalg::Matrix<T> gathered(Context<Space> const& context, linalg::Matrix<T> own_rows) const {
    if (alone()) return own_rows;
    auto const branch = push<T>(context, own_rows.rows, own_rows.columns);
    context.copy(reshape<T**, Space>(own(branch).data, own_rows.rows, own_rows.columns),
                 reshape<T**, Space>(own_rows.data, own_rows.rows, own_rows.columns));
    gather(context, branch);
    return branch;
  }
  template <class Space, class T>
  linalg::Matrix<T> sum(Context<Space> const& context, linalg::Matrix<T> branch) const {
    if (alone()) return branch;
    T* const part = context.workspace().template push<T**>(where_.padded(), branch.columns).data();
    Index const piece = where_.padded() * branch.columns, ranks = where_.group.size();
    clear_padding(context, branch);
    where_.group.reduce_scatter(context, reshape<T*, Space>(branch.data, ranks * piece),
                                reshape<T*, Space>(part, piece));
    return {part, where_.own(), branch.columns};
  }

 private:
  LinearShare with_bias(LinearShare share) const {
    share.bias = everywhere();
    return share;
  }
  template <class Space, class T>
  void clear_padding(Context<Space> const& context, linalg::Matrix<T> branch) const {
    Index const padding = where_.group.size() * where_.padded() - branch.rows;
    if (padding > 0)
      context.fill(reshape<T*, Space>(branch.data + branch.rows * branch.columns, padding * branch.columns), T{0});
  }
};

}  // namespace dchag::layers
