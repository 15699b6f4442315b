#pragma once

#include <dchag/core/parameters.hpp>
#include <dchag/layers/rows.hpp>
#include <dchag/linalg/matrix.hpp>
#include <dchag/linalg/reduce.hpp>
#include <string>

namespace dchag::layers {

/// y = (x - mean(x)) / sqrt(variance(x) + 1e-5) * gain + offset over each row of x [rows, width] (Ba, Kiros and Hinton,
/// 2016); parameters `name.weight` (gain, starts at 1) and `name.bias` (offset, starts at 0), both [width].
///
/// Keeps the normalized rows and one number a row, from which y can be had again. Whoever calls forward releases them.
template <class T, class Space>
class LayerNorm {
 public:
  using Rows = linalg::Matrix<T>;
  using ConstRows = linalg::Matrix<T const>;
  static constexpr double epsilon = 1e-5;

  LayerNorm(Parameters<T, Space>& parameters, std::string const& name, Index width, Placement const& placement = {})
      : width_(width),
        gain_(&parameters.add(name + ".weight", {width}, constant(1), placement)),
        offset_(&parameters.add(name + ".bias", {width}, constant(0), placement)) {}

  /// Pushes what is kept and writes y, which may be x.
  void forward(Context<Space> const& context, ConstRows x, Rows y) {
    keep(context, x.rows);
    normalize(context, x, y);
  }

  /// The two halves of forward, for a y that lies above what is kept.
  void keep(Context<Space> const& context, Index rows) {
    normalized_ = context.workspace().template push<T**>(rows, width_);
    scale_ = context.workspace().template push<T*>(rows);
  }
  void normalize(Context<Space> const& context, ConstRows x, Rows y) const {
    T const *const from = x.data, *const gain = gain_->values, *const offset = offset_->values;
    T *const to = y.data, *const kept = normalized_.data(), *const scales = scale_.data();
    Index const width = width_, from_stride = x.stride, to_stride = y.stride;
    row_loop<T>(
        context, "dchag::layer_norm::forward", x.rows,
        KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
          T const* const in = from + r * from_stride;
          T const mean = row.sum(width, [&]<class L>(Index j) { return load<L>(in + j); }) / static_cast<T>(width);
          T const squares = row.sum(width, [&]<class L>(Index j) {
            L const centred = load<L>(in + j) - mean;
            return centred * centred;
          });
          T const scale = T(1) / Kokkos::sqrt(squares / static_cast<T>(width) + static_cast<T>(epsilon));
          row.once([&] { scales[r] = scale; });
          row.each(width, [&]<class L>(Index j) {
            T *const keep = kept + r * width + j, *const out = to + r * to_stride + j;
            prefetch(in + from_stride + j);
            prefetch_to_write(keep + fetch_distance<T>);
            prefetch_to_write(out + fetch_distance<T>);
            L const normal = (load<L>(in + j) - mean) * scale;
            store(keep, normal);
            store(out, normal * load<L>(gain + j) + load<L>(offset + j));
          });
        },
        moves<T>(3 * x.rows * width, 6 * x.rows * width));
  }

  /// Writes again the y of the last forward.
  void recall(Context<Space> const& context, Rows y) const {
    T const *const kept = normalized_.data(), *const gain = gain_->values, *const offset = offset_->values;
    T* const to = y.data;
    Index const width = width_, to_stride = y.stride;
    row_loop<T>(
        context, "dchag::layer_norm::recall", y.rows,
        KOKKOS_LAMBDA(Index r, Row<T, Space> const& row) {
          row.each(width, [&]<class L>(Index j) {
            store(to + r * to_stride + j, load<L>(kept + r * width + j) * load<L>(gain + j) + load<L>(offset + j));
          });
        },
        moves<T>(2 * y.rows * width));
  }

  /// dx = J^T dy, which may be where dy is. Adds to the gradients of both parameters.
  void backward(Context<Space> const& context, ConstRows dy, Rows dx) const { gradient<false>(context, dy, dx); }
  /// dx += J^T dy: the layer's branch and the residual that passes it by.
  void add_backward(Context<Space> const& context, ConstRows dy, Rows dx) const { gradient<true>(context, dy, dx); }

  template <bool adds>
  void gradient(Context<Space> const& context, ConstRows dy, Rows dx) const {
    constexpr Index rows_a_chunk = 16;
    T const *const from = dy.data, *const kept = normalized_.data(), *const scales = scale_.data(),
                   *const gain = gain_->values;
    T* const to = dx.data;
    Index const rows = dy.rows, width = width_, from_stride = dy.stride, to_stride = dx.stride;
    Index const chunks = ceil_div(rows, rows_a_chunk);
    auto scope = context.workspace().scope();
    auto const partial = context.workspace().template push<T***>(2, chunks, width);
    T *const gain_sums = partial.data(), *const offset_sums = gain_sums + chunks * width;
    row_loop<T>(
        context, "dchag::layer_norm::backward", chunks,
        KOKKOS_LAMBDA(Index chunk, Row<T, Space> const& row) {
          T *const gain_sum = gain_sums + chunk * width, *const offset_sum = offset_sums + chunk * width;
          row.each(width, [&]<class L>(Index j) {
            store(gain_sum + j, L{});
            store(offset_sum + j, L{});
          });
          Index const end = Kokkos::min(rows, (chunk + 1) * rows_a_chunk);
          for (Index r = chunk * rows_a_chunk; r < end; ++r) {
            T const *const slope = from + r * from_stride, *const normal = kept + r * width;
            T const mean = row.sum(width, [&]<class L>(Index j) { return load<L>(slope + j) * load<L>(gain + j); }) /
                           static_cast<T>(width);
            T const along = row.sum(width, [&]<class L>(Index j) {
              return load<L>(slope + j) * load<L>(gain + j) * load<L>(normal + j);
            }) / static_cast<T>(width);
            T const scale = scales[r];
            row.each(width, [&]<class L>(Index j) {
              L const g = load<L>(slope + j), n = load<L>(normal + j);
              store(gain_sum + j, load<L>(gain_sum + j) + g * n);
              store(offset_sum + j, load<L>(offset_sum + j) + g);
              L const result = (g * load<L>(gain + j) - mean - n * along) * scale;
              T* const out = to + r * to_stride + j;
              if constexpr (adds)
                store(out, load<L>(out) + result);
              else
                store(out, result);
            });
          }
        },
        moves<T>((adds ? 4 : 3) * rows * width, 12 * rows * width));
    linalg::add_column_sums(context, linalg::Matrix<T>(gain_sums, chunks, width), gain_->gradients);
    linalg::add_column_sums(context, linalg::Matrix<T>(offset_sums, chunks, width), offset_->gradients);
  }

 private:
  Index width_;
  Parameter<T, Space>*gain_, *offset_;
  View<T**, Space> normalized_;  // [rows, width]
  View<T*, Space> scale_;        // [rows]: 1 / sqrt(variance + epsilon)
};

}  // namespace dchag::layers
