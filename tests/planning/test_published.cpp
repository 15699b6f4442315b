#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <dchag/planning/published.hpp>
#include <dchag/planning/published_table.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "folder.hpp"
#include "io/scratch.hpp"

// The runs of tests/planning/published_runs.csv: read off the logs in the artifact of arXiv 2506.21411, medians where a
// run was repeated.
namespace dchag::tests {
namespace {

double constexpr gib = 1024.0 * 1024 * 1024;

std::vector<PublishedMeasurement> const& published_runs() {
  static auto const runs = read_published_runs(folder() + "/planning/published_runs.csv");
  return runs;
}

/// Relative errors of one quantity, with the runs that they belong to.
class Errors {
 public:
  void add(PublishedRun const& run, double predicted, double measured) {
    errors_.emplace_back(std::abs(predicted / measured - 1), run);
  }
  std::size_t count() const { return errors_.size(); }
  double median() {
    std::sort(errors_.begin(), errors_.end(), [](auto const& a, auto const& b) { return a.first < b.first; });
    return errors_[errors_.size() / 2].first;
  }
  double worst() const {
    return std::max_element(errors_.begin(), errors_.end(), [](auto& a, auto& b) { return a.first < b.first; })->first;
  }
  double within(double bound) const {
    auto const good = std::count_if(errors_.begin(), errors_.end(), [&](auto& e) { return e.first <= bound; });
    return static_cast<double>(good) / static_cast<double>(count());
  }
  void print(std::string const& title) {
    double const middle = median();
    auto const& [error, run] = errors_.back();
    std::printf("%-46s %3zu runs: median %4.1f%%, worst %5.1f%% (%s, D %lld, C %lld, TP %lld, units %lld)\n",
                title.c_str(), count(), 100 * middle, 100 * error, name_of(run.method),
                static_cast<long long>(run.embed), static_cast<long long>(run.channels),
                static_cast<long long>(run.tensor), static_cast<long long>(run.units));
  }

 private:
  std::vector<std::pair<double, PublishedRun>> errors_;
};

TEST_CASE("published: parameters are those of the artifact's logs, to the last one") {
  REQUIRE(published_runs().size() == 138);
  for (PublishedMeasurement const& measured : published_runs()) {
    PublishedParameters const parameters = parameters_of(measured.run);
    CHECK(parameters.rank() == measured.rank_parameters);
    CHECK(parameters.model(measured.run.tensor) == measured.model_parameters);
  }
}

TEST_CASE("published: allocated memory of whole models and of their parts") {
  std::map<std::string, Errors> by_method;
  Errors all, parts;
  for (PublishedMeasurement const& measured : published_runs()) {
    PublishedProfile const profile(measured.run);
    double const predicted = profile.memory().peak().all();
    (measured.run.whole() ? all : parts).add(measured.run, predicted, measured.allocated);
    if (measured.run.whole()) by_method[name_of(measured.run.method)].add(measured.run, predicted, measured.allocated);
  }
  CHECK(all.count() == 83);
  CHECK(all.median() < 0.005);
  CHECK(all.worst() < 0.02);
  CHECK(parts.median() < 0.02);
  CHECK(parts.worst() < 0.15);
  for (auto& [method, errors] : by_method) errors.print("allocated, whole models, " + method);
  all.print("allocated, whole models");
  parts.print("allocated, parts of models");
}

TEST_CASE("published: reserved memory, and its ratios, of the runs that nothing was fitted to") {
  Errors reserved;
  for (PublishedMeasurement const& measured : published_runs()) {
    if (!measured.run.whole() || fitted(measured)) continue;
    reserved.add(measured.run, PublishedProfile(measured.run).reserved(), measured.reserved);
  }
  CHECK(reserved.median() < 0.10);
  CHECK(reserved.worst() < 0.20);
  reserved.print("reserved, held out");
}

TEST_CASE("published: time a step of the runs that no rate was fitted to") {
  std::map<std::string, Errors> by_method;
  Errors held_out;
  for (PublishedMeasurement const& measured : published_runs()) {
    if (!measured.run.whole() || fitted(measured) || disturbed(measured)) continue;
    PublishedProfile const profile(measured.run);
    held_out.add(measured.run, profile.seconds().all(), measured.seconds());
    by_method[name_of(measured.run.method)].add(measured.run, profile.seconds().all(), measured.seconds());
    CHECK(profile.teraflops() == doctest::Approx(measured.teraflops * measured.seconds() / profile.seconds().all()));
  }
  CHECK(held_out.count() == 28);
  CHECK(held_out.median() < 0.06);
  CHECK(held_out.worst() < 0.20);
  for (auto& [method, errors] : by_method) errors.print("seconds, held out, " + method);
  held_out.print("seconds, held out");
}

TEST_CASE("published: D-CHAG against plain tensor parallelism, memory and samples a second") {
  using Place = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
  auto const place = [](PublishedRun const& run) {
    return Place{run.embed, run.channels, run.masked > 0 ? 0 : run.tensor, run.masked > 0 ? run.ranks() : 0};
  };
  std::map<Place, PublishedMeasurement> plain;
  for (PublishedMeasurement const& measured : published_runs()) {
    if (measured.run.whole() && measured.run.method == PublishedMethod::TensorParallel) {
      plain[place(measured.run)] = measured;
    }
  }
  Errors memory, speed;
  for (PublishedMeasurement const& measured : published_runs()) {
    auto const peer = plain.find(place(measured.run));
    if (!measured.run.whole() || peer == plain.end() || peer->second.run.method == measured.run.method) continue;
    PublishedMeasurement const& baseline = peer->second;
    PublishedProfile const ours(measured.run), theirs(baseline.run);
    memory.add(measured.run, ours.memory().peak().all() / theirs.memory().peak().all(),
               measured.allocated / baseline.allocated);
    if (disturbed(measured)) continue;
    double const scale = measured.run.images_a_step() / baseline.run.images_a_step();
    speed.add(measured.run, ours.samples_per_second() / theirs.samples_per_second(),
              scale * baseline.seconds() / measured.seconds());
  }
  CHECK(memory.count() == 50);
  CHECK(memory.worst() < 0.02);
  CHECK(speed.median() < 0.06);
  CHECK(speed.worst() < 0.20);
  memory.print("allocated against plain tensor parallelism");
  speed.print("samples a second against the same");
}

TEST_CASE("published: the channels that a table of the paper could not hold do not fit, those that it held do") {
  for (PublishedMeasurement const& measured : published_runs()) CHECK(PublishedProfile(measured.run).fits());
  PublishedRun run{.channels = 1024, .embed = 4096, .tensor = 16};
  CHECK_FALSE(PublishedProfile(run).fits());
  run.method = PublishedMethod::LinearTree;
  CHECK(PublishedProfile(run).fits());
}

TEST_CASE("published: memory is linear in channels and places where the front end has its peak") {
  auto const peak = [](std::int64_t channels, std::int64_t height) {
    return PublishedProfile({.channels = channels, .embed = 2048, .height = height, .tensor = 8}).memory().front.all();
  };
  double const channel = peak(1024, 128) - peak(512, 128);
  CHECK(peak(2048, 128) - peak(1024, 128) == doctest::Approx(2 * channel));
  double const tokens = 2.0 * 2 * 2048 * 512 * 2048, front = 512 * (34.0 * 2048 + 16);  // bytes, parameters
  double const image = 6.0 * 2 * 2048 * 16 * 512;
  CHECK(channel == doctest::Approx(3 * tokens * (1 + 1 / 8.0) + 18 * front + image));
  CHECK(peak(512, 256) - peak(512, 128) == doctest::Approx(peak(512, 384) - peak(512, 256)));
}

TEST_CASE("published: the components at the peak add up to it, and each moment holds every parameter") {
  PublishedProfile const profile(
      {.method = PublishedMethod::AttentionTree, .channels = 512, .embed = 4096, .units = 2, .tensor = 16, .shard = 2});
  PublishedMemory const& memory = profile.memory();
  CHECK(memory.peak().all() == std::max({memory.front.all(), memory.blocks.all(), memory.update.all()}));
  for (PublishedBytes const* bytes : {&memory.front, &memory.blocks, &memory.update}) {
    CHECK(bytes->parameters == profile.parameters().rank() / 2 * 4);
  }
  CHECK(memory.update.optimizer == profile.parameters().rank() / 2 * 12);
}

TEST_CASE("published: a table that cannot be read is refused by line and column") {
  Scratch const scratch;
  std::filesystem::path const table = scratch / "runs.csv";
  std::ifstream original(folder() + "/planning/published_runs.csv");
  std::string names, row;
  std::getline(original, names);
  std::getline(original, row);
  auto const message = [&](std::string const& text) {
    std::ofstream(table) << text;
    try {
      read_published_runs(table);
    } catch (Error const& error) {
      return std::string(error.what()).substr(table.string().size());
    }
    return std::string();
  };
  CHECK(message(names + "\n" + row + "\n").empty());
  CHECK(message("") == ": is empty");
  CHECK(message(names + "\n" + row + ",1\n").starts_with(" line 2: 22 fields, but 21 columns"));
  CHECK(message(names + "\n" + row + "\nx" + row + "\n").starts_with(" line 3: arch = xorbit is not known"));
  CHECK(message("arch,D\norbit,2048\n") == " line 2: column units is missing");
  CHECK(message("arch,units\norbit,1.5\n") == " line 2: units = 1.5 is not a number");
}

TEST_CASE("published: what the code cannot run is refused by the name of the field") {
  auto const message = [](PublishedRun const& run) {
    try {
      PublishedProfile const profile(run);
    } catch (Error const& error) {
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  PublishedRun const good{.method = PublishedMethod::LinearTree, .channels = 512, .embed = 2048, .tensor = 8};
  CHECK(message(good) == "nothing thrown");
  auto const with = [&](auto change) {
    PublishedRun run = good;
    change(run);
    return message(run);
  };
  CHECK(with([](auto& r) { r.channels = 500; }).starts_with("tensor = 8 must divide channels = 500"));
  CHECK(with([](auto& r) { r.heads = 4; }).starts_with("tensor = 8 must divide heads = 4"));
  CHECK(with([](auto& r) { r.embed = 2050; }).starts_with("embed = 2050 must be a multiple of heads = 32"));
  CHECK(with([](auto& r) { r.patch = 5; }).starts_with("patch = 5 must divide height = 128"));
  CHECK(with([](auto& r) { r.units = 3; }).starts_with("units = 3 must be 1 or divide the 64 channels"));
  CHECK(with([](auto& r) { r.masked = 1; }).starts_with("masked = 1 must be"));
  CHECK(with([](auto& r) { r.data = 0; }).starts_with("data = 0 must be positive"));
}

}  // namespace
}  // namespace dchag::tests
