#pragma once

#include <dchag/channels/tree.hpp>

namespace portability {

/// A unit of a user's own: out = gain (sum of the tokens)^2, feature by feature; keeps the sums.
template <class T, class Space>
class SquaredSum {
  using Index = dchag::Index;
  using Context = dchag::Context<Space>;

 public:
  SquaredSum(dchag::Parameters<T, Space>& parameters, std::string const& prefix, dchag::UnitShape shape)
      : shape_(shape), gain_(&parameters.add(prefix + "gain", {1}, dchag::constant(0.5))) {}

  Index kept_per_row() const { return shape_.embed; }
  void prepare(Context const&) {}
  void finish(Context const&) {}

  void forward(Context const& context, dchag::Tiling const& tiling, T const* tokens, T* kept, T* out) const {
    Index const width = tiling.width, pitch = tiling.pitch, step = shape_.embed * pitch, count = shape_.tokens;
    T const* const gain = gain_->values;
    context.loop(
        "portability::squared_sum", shape_.embed * width, KOKKOS_LAMBDA(Index item) {
          Index const at = item / width * pitch + item % width;
          T sum = 0;
          for (Index c = 0; c < count; ++c) sum += tokens[c * step + at];
          kept[at] = sum;
          out[at] = gain[0] * sum * sum;
        });
  }

  void backward(Context const& context, dchag::Tiling const& tiling, T const*, T const* kept, T const* gradient,
                T* token_gradients) const {
    Index const width = tiling.width, pitch = tiling.pitch, step = shape_.embed * pitch, count = shape_.tokens;
    T const* const gain = gain_->values;
    T* const gain_gradient = gain_->gradients;
    context.loop(
        "portability::pull_squared_sum", shape_.embed * width, KOKKOS_LAMBDA(Index item) {
          Index const at = item / width * pitch + item % width;
          for (Index c = 0; c < count; ++c) token_gradients[c * step + at] = 2 * gain[0] * kept[at] * gradient[at];
          Kokkos::atomic_add(gain_gradient, gradient[at] * kept[at] * kept[at]);
        });
  }

 private:
  dchag::UnitShape shape_;
  dchag::Parameter<T, Space>* gain_;
};

template <dchag::Index count>
struct Squared {
  static constexpr char const* name = "squared_sum";
  static constexpr dchag::Index groups = count;
  template <class T, class Space>
  using Unit = SquaredSum<T, Space>;
};

}  // namespace portability
