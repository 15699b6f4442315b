#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <dchag/io/batches.hpp>
#include <filesystem>
#include <numeric>
#include <vector>

#include "scratch.hpp"

namespace dchag::tests {
namespace {

using Samples = std::vector<std::int64_t>;

Samples drawn(BatchOrder order, std::int64_t steps, int replicas = 1) {
  Samples all;
  for (std::int64_t step = 0; step < steps; ++step) {
    for (int replica = 0; replica < replicas; ++replica) {
      auto const part = order.part(step, replica, replicas);
      CHECK(part.size() == static_cast<std::size_t>(order.batch() / replicas));
      all.insert(all.end(), part.begin(), part.end());
    }
  }
  return all;
}

/// Element (sample, channel, row, column) of the weather is 1000 sample + 100 channel + 10 row + column.
double weather(std::int64_t sample, std::int64_t channel, std::size_t row, std::size_t column) {
  return static_cast<double>(1000 * sample + 100 * channel) + static_cast<double>(10 * row + column);
}

constexpr std::int64_t samples = 6, channels = 5;
constexpr std::size_t rows = 3, columns = 4;

/// [samples, channels, rows, columns], or with the channels last.
void write_weather(std::filesystem::path const& path, bool channels_last) {
  std::vector<double> values;
  if (channels_last) {
    for (std::int64_t s = 0; s < samples; ++s)
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < columns; ++c)
          for (std::int64_t k = 0; k < channels; ++k) values.push_back(weather(s, k, r, c));
    return write_npy(path, {samples, rows, columns, channels}, values);
  }
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::int64_t k = 0; k < channels; ++k)
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < columns; ++c) values.push_back(weather(s, k, r, c));
  write_npy(path, {samples, channels, rows, columns}, values);
}

TEST_CASE("every epoch holds every sample once, in an order of its own") {
  BatchOrder order(10, 4, 3);
  auto const all = drawn(order, 10);  // four epochs
  std::vector<Samples> epochs;
  for (auto at = all.begin(); at != all.end(); at += 10) {
    epochs.emplace_back(at, at + 10);
    auto sorted = epochs.back();
    std::sort(sorted.begin(), sorted.end());
    Samples every(10);
    std::iota(every.begin(), every.end(), 0);
    CHECK(sorted == every);
  }
  REQUIRE(epochs.size() == 4);
  CHECK(epochs[0] != epochs[1]);
  CHECK(epochs[1] != epochs[2]);
  CHECK(drawn(BatchOrder(10, 4, 4), 10) != all);
}

TEST_CASE("a batch is the same for any number of replicas, and whatever was asked for before") {
  BatchOrder const order(50, 12, 9);
  auto const all = drawn(order, 9);
  for (int const replicas : {2, 3, 4, 6, 12}) CHECK(drawn(order, 9, replicas) == all);
  BatchOrder resumed(50, 12, 9);
  CHECK(resumed.part(7) == Samples(all.begin() + 84, all.begin() + 96));
  CHECK(resumed.part(0) == Samples(all.begin(), all.begin() + 12));
}

TEST_CASE("what cannot be divided or counted is an error") {
  BatchOrder order(10, 4, 0);
  CHECK(error_of([&] { order.part(0, 0, 3); }) ==
        "batches: batch = 4 does not divide among 3 replicas: give a multiple of them");
  CHECK(holds(error_of([&] { order.part(-1); }), "step -1"));
  CHECK(holds(error_of([&] { order.part(0, 2, 2); }), "replica 2 of 2"));
  CHECK(error_of([] { BatchOrder(0, 4, 0); }) == "batches: samples = 0: give at least 1");
  CHECK(error_of([] { BatchOrder(10, 0, 0); }) == "batches: batch = 0: give at least 1");
}

TEST_CASE("a rank reads its own channels of its replica's samples, channels first, and no other byte") {
  Scratch scratch;
  auto const path = scratch / "weather.npy";
  std::vector<std::vector<std::int64_t>> const of_ranks{{0, 1}, {4, 2}, {}, {3}};
  for (bool const channels_last : {false, true}) {
    write_weather(path, channels_last);
    std::uint64_t bytes = 0;
    for (auto const& own : of_ranks) {
      for (int replica = 0; replica < 2; ++replica) {
        Batches<float> batches(path, BatchOrder(samples, 4, 1), {own, channels_last ? 3u : 1u, replica, 2});
        CHECK(batches.shape() == std::vector<std::size_t>{2, own.size(), rows, columns});
        for (std::int64_t step = 0; step < 3; ++step) {
          auto const values = batches.read(step);
          auto const drawn = BatchOrder(samples, 4, 1).part(step, replica, 2);
          CHECK(batches.samples(step) == drawn);
          REQUIRE(values.size() == 2 * own.size() * rows * columns);
          std::size_t at = 0;
          for (std::int64_t const sample : drawn)
            for (std::int64_t const channel : own)
              for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t c = 0; c < columns; ++c)
                  CHECK(values[at++] == static_cast<float>(weather(sample, channel, r, c)));
        }
        CHECK(batches.file().bytes_read() == 3 * 2 * own.size() * rows * columns * sizeof(double));
        bytes += batches.file().bytes_read();
      }
    }
    CHECK(bytes == 2 * std::filesystem::file_size(path) - 2 * NpyFile(path).header_bytes());  // two epochs
  }
}

TEST_CASE("an array that does not fit the order or the channels is refused before the first batch") {
  Scratch scratch;
  auto const path = scratch / "weather.npy";
  write_weather(path, false);
  auto const refusal = [&](BatchOrder const& order, BatchPart const& part) {
    return error_of([&] { Batches<float>(path, order, part); });
  };
  CHECK(refusal(BatchOrder(samples, 2, 0), {{0}}).empty());
  CHECK(refusal(BatchOrder(7, 2, 0), {{0}}) == path.string() + ": holds 6 samples, but the order is of 7");
  CHECK(refusal(BatchOrder(samples, 2, 0), {{0, 5}}) ==
        path.string() + ": has 5 entries along axis 1, but entry 5 is asked for");
  for (std::size_t const axis : {0u, 4u})
    CHECK(holds(refusal(BatchOrder(samples, 2, 0), {{0}, axis}), "channels are said to stand on axis"));
  CHECK(holds(refusal(BatchOrder(samples, 2, 0), {{0}, 1, 0, 3}), "does not divide among 3 replicas"));
}

}  // namespace
}  // namespace dchag::tests
