#pragma once

#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/mesh.hpp>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace dchag {

/// Which images of a data set each batch has. The order is without end: one permutation of the images after the other,
/// each drawn from (seed, epoch), cut into steps of equal size; a step may begin in one epoch and end in the next. It
/// is the same on any mesh: the replicas take equal shares of a step, one after the other, and the model ranks of a
/// replica all have its share.
class BatchOrder {
 public:
  /// `batch` images of all replicas together make a step. Throws where a size makes no sense, or the replicas of the
  /// mesh do not divide the batch.
  BatchOrder(Index images, Index batch, std::uint64_t seed, Mesh const& mesh = {})
      : images_(images),
        batch_(batch),
        key_(random_key(seed, "batch order")),
        replica_(mesh.replicas().rank()),
        replicas_(mesh.replicas().size()) {
    require(images >= 1, "batch order: ", images, " images: give at least 1");
    require(batch >= 1, "batch order: batches of ", batch, " images: give at least 1");
    require(batch % replicas_ == 0, "batch order: ", replicas_, " replicas do not divide a batch of ", batch,
            " images: choose ", round_up(batch, replicas_));
    share_.resize(static_cast<std::size_t>(batch / replicas_));
  }

  /// The images of this replica in a step, numbered from 0 on; valid until the next call. Any step may be asked for, so
  /// that a run that is resumed goes on where it was.
  std::span<Index const> operator()(Index step) {
    Index const share = batch_ / replicas_, first = step * batch_ + replica_ * share;
    for (Index i = 0; i < share; ++i) {
      draw((first + i) / images_);
      share_[static_cast<std::size_t>(i)] = order_[static_cast<std::size_t>((first + i) % images_)];
    }
    return share_;
  }

  /// The epoch that a step begins in.
  Index epoch(Index step) const { return step * batch_ / images_; }

 private:
  /// The permutation of an epoch (Fisher and Yates).
  void draw(Index epoch) {
    if (epoch == epoch_) return;
    epoch_ = epoch;
    order_.resize(static_cast<std::size_t>(images_));
    std::iota(order_.begin(), order_.end(), Index{0});
    std::uint64_t const key = random_bits(key_, static_cast<std::uint64_t>(epoch));
    for (std::size_t i = 0; i + 1 < order_.size(); ++i)
      std::swap(order_[i], order_[i + random_bits(key, i) % (order_.size() - i)]);
  }

  Index images_, batch_;
  std::uint64_t key_;
  Index replica_, replicas_, epoch_ = -1;
  std::vector<Index> order_, share_;
};

}  // namespace dchag
