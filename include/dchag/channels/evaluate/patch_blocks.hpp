#pragma once

#include <algorithm>
#include <dchag/channels/evaluate/kernels.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/linalg/thread_gemm.hpp>
#include <utility>

namespace dchag::channels {

/// The passes of PatchSpace over the patches, where a host's threads multiply each by itself: of one head, a thread
/// scales the patches of a few channels and is done with them before they leave its cache.
template <class T, class Space>
class PatchBlocks {
 public:
  PatchBlocks(Index channels, Index patch, Index heads, Index width)
      : channels_(channels),
        patch_(patch),
        heads_(heads),
        width_(width),
        step_(std::clamp<Index>(most_rows / patch, 1, std::max<Index>(channels, 1))) {}

  /// z_i += G(i) (a[., i] x) from patches x [c, P, pitch] and weights a [c, h, pitch], over the batch of heads of
  /// G [d, c P] and of z [d, width]. A thread takes some columns of one head.
  void sum(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a, linalg::Batch<T> const& g,
           linalg::Batch<T> const& z) const {
    Index const threads = context.space().concurrency(), each = numbers(tiling),
                share = round_up(ceil_div(tiling.width, ceil_div(threads, heads_)), Index{lane_count<T, Space>}),
                columns = std::min(share, most_columns), parts = ceil_div(tiling.width, columns);
    auto scope = context.workspace().scope();
    T* const all = context.workspace().template push<T**>(threads, each).data();
    linalg::tell_products<T>(context, heads_ * ceil_div(channels_, step_), width_, step_ * patch_, tiling.width);
    Claims claims(heads_ * parts);
    Claims* const left = &claims;
    PatchBlocks const self = *this;
    Space const space = context.space();
    context.loop(
        "dchag::channels::sum_patches", threads,
        [=](Index thread) {
          for (Index item = 0; left->take(item);) {
            Index const i = item / parts, first = item % parts * columns;
            Tiling own = tiling;
            own.width = std::min(columns, tiling.width - first);
            self.sum_head(space, own, i, x + first, a + first, g.at(i), z.at(i).columns_at(first, own.width),
                          all + thread * each);
          }
        },
        moves<T>((channels_ * (patch_ + heads_) + 2 * heads_ * width_) * tiling.width,
                 heads_ * channels_ * patch_ * tiling.width));
  }

  /// From dz_i: ds[c, i, n] = a (ds + sum_p Y x - delta[i, n]) with Y = G(i)^T dz_i, and dG(i) += dz_i (a[., i] x)^T. A
  /// thread takes a few channels of one head.
  void pull(Context<Space> const& context, Tiling const& tiling, T const* x, T const* a, T const* delta,
            linalg::Batch<T> const& g, linalg::Batch<T> const& dz, linalg::Batch<T> const& dg, T* ds) const {
    Index const threads = context.space().concurrency(), each = numbers(tiling),
                step = std::clamp<Index>(ceil_div(channels_, ceil_div(threads, heads_)), 1, step_),
                parts = ceil_div(channels_, step), operand = Operand::size(width_, tiling.width);
    auto scope = context.workspace().scope();
    T* const all = context.workspace().template push<T**>(threads, each).data();
    linalg::tell_products<T>(context, heads_ * parts, step * patch_, width_, tiling.width);
    linalg::tell_products<T>(context, heads_ * parts, width_, tiling.width, step * patch_);
    Claims claims(heads_ * parts);
    Claims* const left = &claims;
    PatchBlocks const self = *this;
    Space const space = context.space();
    context.loop(
        "dchag::channels::pull_patches", threads,
        [=](Index thread) {
          T* const storage = all + thread * each;
          Operand of_head;
          for (Index item = 0, last = -1; left->take(item);) {
            Index const i = item / parts, c = item % parts * step;
            if (i != std::exchange(last, i)) of_head = Operand(linalg::Op::none, dz.at(i), storage);
            Index const count = std::min(step, self.channels_ - c), columns = count * self.patch_;
            linalg::Matrix<T> const block = tile_matrix(storage + operand, columns, tiling);
            of_head.multiply(space, linalg::Op::transpose, T{1}, g.at(i).columns_at(c * self.patch_, columns), T{0},
                             block);
            self.pull_block(tiling, i, c, count, x, a, delta, block, ds);
            linalg::thread_gemm(space, linalg::Op::none, linalg::Op::transpose, T{1}, dz.at(i), block, T{1},
                                dg.at(i).columns_at(c * self.patch_, columns));
          }
        },
        moves<T>((2 * channels_ * (patch_ + heads_) + heads_ * width_) * tiling.width,
                 2 * heads_ * channels_ * patch_ * tiling.width));
  }

 private:
  using Operand = linalg::RightOperand<Space, T>;
  static constexpr Index most_rows = 128, most_columns = 64;  // of scaled patches; one channel may have more rows

  /// A thread's storage, of both passes: a block of scaled patches, and an operand of products. So a forward pass alone
  /// takes no more than a whole step.
  Index numbers(Tiling const& tiling) const {
    Index const rows = step_ * patch_, columns = std::min(tiling.width, most_columns);
    return rows * tiling.pitch + std::max(Operand::size(rows, columns), Operand::size(width_, tiling.width));
  }

  void sum_head(Space const& space, Tiling const& tiling, Index i, T const* x, T const* a, linalg::Matrix<T> const& g,
                linalg::Matrix<T> const& z, T* storage) const {
    using L = Lanes<T, lane_count<T, Space>>;
    Index const pitch = tiling.pitch, width = tiling.width;
    for (Index c = 0; c < channels_; c += step_) {
      Index const count = std::min(step_, channels_ - c), rows = count * patch_;
      for (Index k = 0; k < count; ++k)
        for (Index n = 0; n < width; n += lane_count<T, Space>)
          kernels::scale_pixels(patch_, load<L>(a + ((c + k) * heads_ + i) * pitch + n),
                                x + (c + k) * patch_ * pitch + n, pitch, storage + k * patch_ * width + n, width);
      Operand const scaled(linalg::Op::none, {storage, rows, width}, storage + rows * width);
      scaled.multiply(space, linalg::Op::none, T{1}, g.columns_at(c * patch_, rows), T{1}, z);
    }
  }

  void pull_block(Tiling const& tiling, Index i, Index c, Index count, T const* x, T const* a, T const* delta,
                  linalg::Matrix<T> const& block, T* ds) const {
    using L = Lanes<T, lane_count<T, Space>>;
    Index const pitch = tiling.pitch;
    for (Index k = 0; k < count; ++k)
      for (Index n = 0; n < tiling.width; n += lane_count<T, Space>) {
        Index const at = ((c + k) * heads_ + i) * pitch + n;
        L const weight = load<L>(a + at);
        L const da = kernels::pull_pixels(patch_, load<L>(ds + at), weight, x + (c + k) * patch_ * pitch + n, pitch,
                                          block.data + k * patch_ * block.stride + n, block.stride);
        store(ds + at, weight * (da - load<L>(delta + i * pitch + n)));
      }
  }

  Index channels_, patch_, heads_, width_, step_;
};

}  // namespace dchag::channels
