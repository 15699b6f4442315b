#pragma once

#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/io/npy.hpp>
#include <filesystem>
#include <functional>
#include <numeric>
#include <span>
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

/// What a rank reads of every batch: the channels that its partition gives it, and the samples of its replica.
struct BatchPart {
  std::vector<std::int64_t> channels;
  std::size_t channel_axis = 1;  // of the array; axis 0 is that of the samples
  int replica = 0, replicas = 1;
};

/// Batches from a .npy array [samples, channels, ...], or with its channels on a later axis. A rank reads the bytes of
/// its own channels of its own samples, and no others. Errors are those of NpyFile and BatchOrder.
template <class T>
class Batches {
 public:
  /// Throws where the array has another number of samples than the order, or no such axis or channel.
  Batches(std::filesystem::path const& path, BatchOrder order, BatchPart part)
      : file_(path), order_(std::move(order)), part_(std::move(part)) {
    auto const& array = file_.shape();
    std::size_t const axis = part_.channel_axis;
    require(axis >= 1 && axis < array.size(), path.string(), ": has shape ", detail::shape_text(array),
            ", but its channels are said to stand on axis ", axis, ", behind the samples on axis 0");
    require(array[0] == static_cast<std::size_t>(order_.samples()), path.string(), ": holds ", array[0],
            " samples, but the order is of ", order_.samples());
    axes_ = {0, axis};
    shape_ = {order_.part(0, part_.replica, part_.replicas).size(), part_.channels.size()};
    for (std::size_t d = 1; d < array.size(); ++d) {
      if (d == axis) continue;
      axes_.push_back(d);
      shape_.push_back(array[d]);
    }
    file_.check_entries({{axis, part_.channels}});
    values_.resize(std::accumulate(shape_.begin(), shape_.end(), std::size_t{1}, std::multiplies<>()));
  }

  /// Of what read() gives: [the replica's samples, the rank's channels, ...].
  std::vector<std::size_t> const& shape() const { return shape_; }
  NpyFile const& file() const { return file_; }

  /// The samples that read(step) gives.
  std::vector<std::int64_t> samples(std::int64_t step) { return order_.part(step, part_.replica, part_.replicas); }

  /// This rank's part of a batch, row-major, in host memory that the next call overwrites. Steps may be read in any
  /// order.
  std::span<T const> read(std::int64_t step) {
    file_.read_entries({{0, samples(step)}, {part_.channel_axis, part_.channels}}, std::span(values_), axes_);
    return values_;
  }

 private:
  NpyFile file_;
  BatchOrder order_;
  BatchPart part_;
  std::vector<std::size_t> axes_, shape_;
  std::vector<T> values_;
};

}  // namespace dchag
