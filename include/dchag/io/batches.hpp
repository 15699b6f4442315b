#pragma once

#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/io/batch_order.hpp>
#include <dchag/io/npy.hpp>
#include <filesystem>
#include <functional>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace dchag {

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
