#pragma once

#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/parallel/shares.hpp>
#include <string>
#include <type_traits>

namespace dchag::layers {

/// Where the elements that a rank has stand in a whole matrix [images * locations, columns]: it has some rows, and
/// columns from `column` on.
struct HeldElements {
  OwnRows rows;
  Index column, columns;

  KOKKOS_FUNCTION Index operator()(Index row, Index j) const { return rows.row(row) * columns + column + j; }
};

/// What an element is multiplied by: zero for a share `rate` of them, 1 / (1 - rate) for the others. Drawn by the
/// element's number in the whole matrix, so that it is the same however the matrix is divided among ranks.
template <class T>
struct DropoutMask {
  std::uint64_t key;
  double rate;
  T scale;  // 1 / (1 - rate)
  HeldElements held;
  Index first_row;  // of this replica among the rows of all

  KOKKOS_FUNCTION T operator()(Index row, Index j) const {
    auto const element = static_cast<std::uint64_t>(first_row * held.columns + held(row, j));
    return random_uniform(key, element) < rate ? T{0} : scale;
  }
};

/// Dropout (Srivastava et al., 2014) of a transformer's blocks: its rate, and which random numbers are drawn. They
/// depend on the seed, the step, the batch in the step, the place in the model, and the number of the element, rows of
/// replicas numbered one after the other: replicas of equal batches drop what one rank with all their images would.
class Dropout {
 public:
  /// Nothing is dropped.
  Dropout() = default;
  /// Throws where the rate is not in [0, 1).
  Dropout(double rate, std::uint64_t seed, Index replica = 0) : rate_(rate), seed_(seed), replica_(replica) {
    require(rate >= 0 && rate < 1, "dropout = ", rate,
            ": give the share of the elements that is dropped, at least 0 and less than 1");
  }

  double rate() const { return rate_; }
  /// The numbers of the batches that follow: until it is called again, passes drop the same.
  void begin_batch(Index step, Index batch) {
    step_ = step;
    batch_ = batch;
  }
  /// Before each pass: whether it is one of training, which alone drops, and the rows of whole matrices in it.
  void begin_pass(bool training, Index rows) {
    training_ = training;
    rows_ = rows;
  }

  bool on() const { return training_ && rate_ > 0; }
  /// Of a place in the model: what mask() is given.
  std::uint64_t key(std::string const& place) const { return random_key(seed_, place + ".dropout"); }
  /// Of the elements that this rank has of a matrix.
  template <class T>
  DropoutMask<T> mask(std::uint64_t key, HeldElements const& held) const {
    std::uint64_t const of_step = random_bits(key, static_cast<std::uint64_t>(step_));
    return {random_bits(of_step, static_cast<std::uint64_t>(batch_)), rate_, static_cast<T>(1 / (1 - rate_)), held,
            replica_ * rows_};
  }

 private:
  double rate_ = 0;
  std::uint64_t seed_ = 0;
  Index replica_ = 0, step_ = 0, batch_ = 0, rows_ = 0;
  bool training_ = true;
};

namespace detail {

template <class T, class L>
KOKKOS_FORCEINLINE_FUNCTION L mask_lanes(DropoutMask<T> const& mask, Index row, Index j) {
  if constexpr (sizeof(L) == sizeof(T)) {
    return mask(row, j);
  } else {
    L factors{};
    for (int lane = 0; lane < static_cast<int>(sizeof(L) / sizeof(T)); ++lane) factors[lane] = mask(row, j + lane);
    return factors;
  }
}

}  // namespace detail

/// to = mask * from, element by element; to may be from.
template <class Space, class T>
void drop(Context<Space> const& context, DropoutMask<T> const& mask, std::type_identity_t<linalg::Matrix<T const>> from,
          std::type_identity_t<linalg::Matrix<T>> to) {
  T const* const source = from.data;
  T* const result = to.data;
  Index const columns = to.columns, from_stride = from.stride, to_stride = to.stride;
  row_loop<T>(
      context, "dchag::dropout::drop", to.rows,
      KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
        row.each(columns, [&]<class L>(Index j) {
          store(result + r * to_stride + j,
                load<L>(source + r * from_stride + j) * detail::mask_lanes<T, L>(mask, r, j));
        });
      },
      moves<T>(2 * to.rows * columns, 20 * to.rows * columns));
}

/// to += mask * from
template <class Space, class T>
void add_dropped(Context<Space> const& context, DropoutMask<T> const& mask,
                 std::type_identity_t<linalg::Matrix<T const>> from, std::type_identity_t<linalg::Matrix<T>> to) {
  T const* const source = from.data;
  T* const sum = to.data;
  Index const columns = to.columns, from_stride = from.stride, to_stride = to.stride;
  row_loop<T>(
      context, "dchag::dropout::add", to.rows,
      KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
        row.each(columns, [&]<class L>(Index j) {
          T* const at = sum + r * to_stride + j;
          store(at, load<L>(at) + load<L>(source + r * from_stride + j) * detail::mask_lanes<T, L>(mask, r, j));
        });
      },
      moves<T>(3 * to.rows * columns, 20 * to.rows * columns));
}

}  // namespace dchag::layers
