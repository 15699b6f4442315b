#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <dchag/planning/published.hpp>
#include <dchag/planning/published_table.hpp>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace dchag {

/// Relative errors of one quantity, with the runs that they belong to.
class RelativeErrors {
 public:
  void add(PublishedRun const& run, double predicted, double measured) {
    errors_.emplace_back(std::abs(predicted / measured - 1), run);
  }

  std::size_t count() const { return errors_.size(); }
  double median() const { return count() == 0 ? 0 : sorted()[count() / 2].first; }
  double worst() const { return count() == 0 ? 0 : sorted().back().first; }

  /// "28 runs: median 0.1%, worst 1.0% (D-CHAG C, D 2048, C 1024, TP 8, units 8)".
  std::string text() const {
    if (count() == 0) return "no run";
    auto const [error, run] = sorted().back();
    char line[200];
    std::snprintf(
        line, sizeof(line), "%3zu runs: median %4.1f%%, worst %5.1f%% (%s, D %lld, C %lld, TP %lld, units %lld)",
        count(), 100 * median(), 100 * error, name_of(run.method), static_cast<long long>(run.embed),
        static_cast<long long>(run.channels), static_cast<long long>(run.tensor), static_cast<long long>(run.units));
    return line;
  }

 private:
  using Error = std::pair<double, PublishedRun>;
  std::vector<Error> sorted() const {
    auto errors = errors_;
    std::sort(errors.begin(), errors.end(), [](Error const& a, Error const& b) { return a.first < b.first; });
    return errors;
  }

  std::vector<Error> errors_;
};

/// Squares of the errors of allocated memory, in GiB, added up.
inline double allocated_squares(std::vector<PublishedMeasurement> const& runs, PublishedCopies const& copies = {}) {
  double sum = 0;
  for (PublishedMeasurement const& measured : runs) {
    double const error = (memory_of(measured.run, copies).peak().all() - measured.allocated) / (1 << 30);
    sum += error * error;
  }
  return sum;
}

/// Of profiles of whole models against what was measured of them. The ratios are those of a run to plain tensor
/// parallelism with as many features, channels and tensor-parallel ranks (masked: as many GPUs).
struct PublishedErrors {
  RelativeErrors allocated, reserved, seconds, allocated_ratio, speed_ratio;
};

/// Errors of the runs that `chosen(measured)` names; disturbed ones have no time.
template <class Choice>
PublishedErrors published_errors(std::vector<PublishedMeasurement> const& runs, Choice const& chosen,
                                 PublishedMachine const& machine = {}, PublishedCopies const& copies = {}) {
  using Place = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
  auto const place = [](PublishedRun const& run) {
    bool const masked = run.masked > 0;
    return Place{run.embed, run.channels, masked ? 0 : run.tensor, masked ? run.ranks() : 0};
  };
  std::map<Place, PublishedMeasurement> plain;
  for (PublishedMeasurement const& measured : runs) {
    bool const is_plain = measured.run.method == PublishedMethod::TensorParallel;
    if (measured.run.whole() && is_plain) plain[place(measured.run)] = measured;
  }
  PublishedErrors errors;
  for (PublishedMeasurement const& measured : runs) {
    PublishedRun const& run = measured.run;
    if (!run.whole() || !chosen(measured)) continue;
    PublishedProfile const ours(run, machine, copies);
    double const bytes = ours.memory().peak().all();
    errors.allocated.add(run, bytes, measured.allocated);
    errors.reserved.add(run, ours.reserved(), measured.reserved);
    if (!disturbed(measured)) errors.seconds.add(run, ours.seconds().all(), measured.seconds());
    auto const peer = plain.find(place(run));
    if (run.method == PublishedMethod::TensorParallel || peer == plain.end()) continue;
    PublishedMeasurement const& baseline = peer->second;
    PublishedProfile const theirs(baseline.run, machine, copies);
    errors.allocated_ratio.add(run, bytes / theirs.memory().peak().all(), measured.allocated / baseline.allocated);
    if (disturbed(measured)) continue;
    double const images = run.images_a_step() / baseline.run.images_a_step();
    errors.speed_ratio.add(run, ours.samples_per_second() / theirs.samples_per_second(),
                           images * baseline.seconds() / measured.seconds());
  }
  return errors;
}

}  // namespace dchag
