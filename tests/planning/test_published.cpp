#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <dchag/planning/published_errors.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "folder.hpp"
#include "io/scratch.hpp"

// The runs of tests/planning/published_runs.csv: read off the logs in the artifact of arXiv 2506.21411, medians where a
// run was repeated.
namespace dchag::tests {
namespace {

std::vector<PublishedMeasurement> const& published_runs() {
  static auto const runs = read_published_runs(folder() + "/planning/published_runs.csv");
  return runs;
}

bool held_out(PublishedMeasurement const& measured) { return !fitted(measured); }

void print(std::string const& title, RelativeErrors const& errors) {
  std::printf("%-47s %s\n", title.c_str(), errors.text().c_str());
}

TEST_CASE("published: parameters are those of the artifact's logs, to the last one") {
  REQUIRE(published_runs().size() == 138);
  for (PublishedMeasurement const& measured : published_runs()) {
    PublishedParameters const parameters = parameters_of(measured.run);
    CHECK(parameters.rank() == measured.rank_parameters);
    CHECK(parameters.model(measured.run.tensor) == measured.model_parameters);
  }
}

TEST_CASE("published: no count of copies is better one up or one down, by the fitted runs") {
  std::vector<PublishedMeasurement> runs;
  std::copy_if(published_runs().begin(), published_runs().end(), std::back_inserter(runs), fitted);
  double const least = allocated_squares(runs);
  for (auto const count :
       {&PublishedCopies::moments, &PublishedCopies::update, &PublishedCopies::front_parameters,
        &PublishedCopies::front_gradients, &PublishedCopies::pixels, &PublishedCopies::tokens,
        &PublishedCopies::features, &PublishedCopies::outputs, &PublishedCopies::gathered_own,
        &PublishedCopies::gathered_all, &PublishedCopies::linear_tokens, &PublishedCopies::attention_tokens,
        &PublishedCopies::attention_unit, &PublishedCopies::attention_places, &PublishedCopies::kept_linear,
        &PublishedCopies::kept_attention, &PublishedCopies::kept_gathered, &PublishedCopies::recomputed}) {
    for (double const step : {-1.0, 1.0}) {
      PublishedCopies copies;
      copies.*count += step;
      CHECK(allocated_squares(runs, copies) > least);
    }
  }
}

TEST_CASE("published: memory and time of whole models that nothing was fitted to") {
  PublishedErrors const errors = published_errors(published_runs(), held_out);
  CHECK(errors.allocated.count() == 28);
  CHECK(errors.allocated.median() < 0.005);
  CHECK(errors.allocated.worst() < 0.01);
  CHECK(errors.reserved.median() < 0.05);
  CHECK(errors.reserved.worst() < 0.16);
  CHECK(errors.seconds.count() == 28);
  CHECK(errors.seconds.median() < 0.05);
  CHECK(errors.seconds.worst() < 0.12);
  CHECK(errors.allocated_ratio.count() == 19);
  CHECK(errors.allocated_ratio.worst() < 0.01);
  CHECK(errors.speed_ratio.count() == 19);
  CHECK(errors.speed_ratio.median() < 0.05);
  CHECK(errors.speed_ratio.worst() < 0.12);
  print("held out: allocated", errors.allocated);
  print("held out: reserved", errors.reserved);
  print("held out: seconds", errors.seconds);
  print("held out: allocated to plain tensor parallelism", errors.allocated_ratio);
  print("held out: samples a second to the same", errors.speed_ratio);
}

TEST_CASE("published: memory and time of the whole models that profiles were fitted to") {
  PublishedErrors const errors = published_errors(published_runs(), fitted);
  CHECK(errors.allocated.count() == 55);
  CHECK(errors.allocated.worst() < 0.01);
  CHECK(errors.reserved.worst() < 0.15);
  CHECK(errors.seconds.count() == 54);  // one was disturbed
  CHECK(errors.seconds.worst() < 0.15);
  CHECK(errors.speed_ratio.worst() < 0.16);
  print("fitted: allocated", errors.allocated);
  print("fitted: reserved", errors.reserved);
  print("fitted: seconds", errors.seconds);
  print("fitted: samples a second to plain", errors.speed_ratio);
}

TEST_CASE("published: memory of parts of models that nothing was fitted to") {
  RelativeErrors errors;
  for (PublishedMeasurement const& measured : published_runs()) {
    if (measured.run.whole() || fitted(measured)) continue;
    errors.add(measured.run, memory_of(measured.run).peak().all(), measured.allocated);
  }
  CHECK(errors.count() == 29);
  CHECK(errors.median() < 0.01);
  CHECK(errors.worst() < 0.06);
  print("held out: allocated, parts of models", errors);
}

TEST_CASE("published: operations a second are those that the authors count in the time of the profile") {
  for (PublishedMeasurement const& measured : published_runs()) {
    PublishedProfile const profile(measured.run);
    CHECK(profile.teraflops() == doctest::Approx(measured.teraflops * measured.seconds() / profile.seconds().all()));
  }
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
  CHECK(memory.peak().all() ==
        std::max({memory.front.all(), memory.last.all(), memory.blocks.all(), memory.update.all()}));
  for (PublishedBytes const* bytes : {&memory.front, &memory.last, &memory.blocks, &memory.update}) {
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
