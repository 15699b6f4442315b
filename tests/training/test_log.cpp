#include <doctest/doctest.h>

#include <cmath>
#include <dchag/training/log.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/scratch.hpp"

namespace {

std::vector<nlohmann::json> lines(std::filesystem::path const& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> parsed;
  for (std::string line; std::getline(file, line);) parsed.push_back(nlohmann::json::parse(line));
  return parsed;
}

}  // namespace

TEST_CASE("every step is a line of JSON, in the file as soon as it is written") {
  dchag::tests::Scratch const folder;
  auto const path = folder / "log.jsonl";
  dchag::JsonLog log(path);
  log({.step = 1,
       .total = 2,
       .loss = 0.1,
       .learning_rate = 1e-3,
       .gradient_norm = NAN,
       .seconds = 0.5,
       .samples_per_second = INFINITY});
  auto const first = lines(path);
  REQUIRE(first.size() == 1);
  CHECK(first[0]["step"] == 1);
  CHECK(first[0]["loss"] == 0.1);  // the same double
  CHECK(first[0]["gradient_norm"].is_null());
  CHECK(first[0]["samples_per_second"].is_null());
  log.write({{"validation", 0.25}, {"note", "half \"way\""}});
  CHECK(lines(path)[1]["note"] == "half \"way\"");
}

TEST_CASE("a log is replaced or appended to, and a line cut short by a killed run is dropped") {
  dchag::tests::Scratch const folder;
  auto const path = folder / "log.jsonl";
  dchag::JsonLog(path).write({{"run", 1}});
  dchag::JsonLog(path, dchag::JsonLog::Mode::append).write({{"run", 2}});
  CHECK(lines(path).size() == 2);
  std::ofstream(path, std::ios::app) << "{\"run\": 3, \"lo";
  dchag::JsonLog(path, dchag::JsonLog::Mode::append).write({{"run", 4}});
  auto const all = lines(path);
  REQUIRE(all.size() == 3);
  CHECK(all[2]["run"] == 4);
  dchag::JsonLog(path).write({{"run", 5}});
  CHECK(lines(path).size() == 1);

  auto const torn = folder / "torn.jsonl";
  std::ofstream(torn) << "{\"never whole";
  dchag::JsonLog(torn, dchag::JsonLog::Mode::append).write({{"run", 1}});
  CHECK(lines(torn).size() == 1);
  dchag::JsonLog(folder / "new.jsonl", dchag::JsonLog::Mode::append).write({{"run", 1}});
  CHECK(lines(folder / "new.jsonl").size() == 1);
}

TEST_CASE("a log that cannot be opened or written is an error with its path") {
  CHECK_THROWS_WITH_AS(dchag::JsonLog("/nonexistent/log.jsonl"),
                       "/nonexistent/log.jsonl: the log cannot be opened for writing", dchag::Error);
  if (std::filesystem::exists("/dev/full")) {
    dchag::JsonLog log("/dev/full");
    CHECK_THROWS_WITH_AS(log.write({{"run", 1}}), "/dev/full: a line of the log cannot be written: is the disk full?",
                         dchag::Error);
  }
}
