#pragma once

#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <numeric>
#include <utility>
#include <vector>

namespace dchag {

/// Which samples make which batch: every epoch is a permutation of all samples, drawn by (seed, epoch), and batches are
/// what follows one another, across the end of an epoch too. The same on every rank, whatever the mesh: replicas divide
/// a batch in equal parts.
class BatchOrder {
 public:
  /// `batch` is the number of samples of all replicas together.
  BatchOrder(std::int64_t samples, std::int64_t batch, std::uint64_t seed)
      : batch_(batch), key_(random_key(seed, "dchag::batches")) {
    require(samples >= 1, "batches: samples = ", samples, ": give at least 1");
    require(batch >= 1, "batches: batch = ", batch, ": give at least 1");
    order_.resize(static_cast<std::size_t>(samples));
  }

  std::int64_t samples() const { return static_cast<std::int64_t>(order_.size()); }
  std::int64_t batch() const { return batch_; }

  /// The samples of a batch that are one replica's. Throws where the replicas do not divide the batch.
  std::vector<std::int64_t> part(std::int64_t step, int replica = 0, int replicas = 1) {
    require(replicas >= 1 && batch_ % replicas == 0, "batches: batch = ", batch_, " does not divide among ", replicas,
            " replicas: give a multiple of them");
    require(step >= 0 && replica >= 0 && replica < replicas, "batches: step ", step, " of replica ", replica, " of ",
            replicas, ": both count from 0");
    std::int64_t const size = batch_ / replicas, first = step * batch_ + replica * size;
    std::vector<std::int64_t> part;
    for (std::int64_t i = first; i < first + size; ++i) {
      shuffle(i / samples());
      part.push_back(order_[static_cast<std::size_t>(i % samples())]);
    }
    return part;
  }

 private:
  /// Fisher and Yates. The modulo of 64 bits favours nothing that could be noticed.
  void shuffle(std::int64_t epoch) {
    if (std::exchange(epoch_, epoch) == epoch) return;
    std::uint64_t const key = random_bits(key_, static_cast<std::uint64_t>(epoch));
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_bits(key, i) % i]);
  }

  std::int64_t batch_;
  std::uint64_t key_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

}  // namespace dchag
