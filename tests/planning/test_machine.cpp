#include <doctest/doctest.h>

#include <dchag/io/atomic_file.hpp>
#include <dchag/planning/machine.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "planning/plans.hpp"

using namespace dchag;

TEST_CASE("known machines are described whole, and come back from their JSON") {
  auto const machines = known_machines();
  REQUIRE(machines.size() >= 4);
  for (Machine const& machine : machines) {
    CHECK_NOTHROW(machine.check());
    CHECK(!machine.source.empty());
    CHECK(machine.bfloat16_rate > machine.float_rate);
    Machine const again = Machine::from(parse_json(dump_json(machine.json()), "test"));
    CHECK(again.json() == machine.json());
  }
  Machine const die = known_machine("MI250X die");
  CHECK(die.memory == doctest::Approx(63.98 * 1024 * 1024 * 1024));
  CHECK(die.float_rate == doctest::Approx(33500e9 / 2));
  CHECK(die.ranks_a_node == 8);
}

TEST_CASE("a machine that makes no sense is refused, with the field, the value and what to do") {
  auto const with = [](char const* field, Json value) {
    return tests::message_of([&] {
      Json json = known_machine("A100").json();
      json[field] = std::move(value);
      Machine::from(json);
    });
  };
  CHECK(with("memory_gib", 0.0) == "machine A100: memory_gib = 0: give a finite figure above 0");
  CHECK(with("bandwidth_gb_s", -1.0).find("machine A100: bandwidth_gb_s = ") == 0);
  CHECK(with("ranks_a_node", 0) == "machine A100: ranks_a_node = 0: give at least 1");
  CHECK(with("nodes", -2).find("machine A100: nodes = -2") == 0);
  CHECK(with("memory_gb", 80.0).find("field \"memory_gb\" is none of a machine's") != std::string::npos);
  CHECK(with("float_gflops", "fast").find("float_gflops") != std::string::npos);
  CHECK(with("cache_mib", 40.0).find("cache_mib and cache_gb_s") != std::string::npos);
  CHECK(tests::message_of([] {
          known_machine("A1000");
        }).find("machine = \"A1000\" is not known: choose one of MI250X") == 0);
  CHECK(tests::message_of([] { read_machine("/nowhere/machine.json"); }) ==
        "/nowhere/machine.json: cannot be read: give the path of a machine's JSON file");
  auto const path = std::filesystem::temp_directory_path() / "dchag-test-machine.json";
  std::ofstream(path) << R"({"name": "mine"})";
  CHECK(tests::message_of([&] { read_machine(path); }) == path.string() + ": JSON: field \"memory_gib\" is missing");
  std::ofstream(path) << dump_json(known_machine("H100").json());
  CHECK(read_machine(path).json() == known_machine("H100").json());
  std::filesystem::remove(path);
}

TEST_CASE("ranks share what there is") {
  Machine machine = known_machine("H100");
  CHECK(machine.sharing(10240) == 1);
  machine.ranks_a_node = 2;
  machine.nodes = 1;
  CHECK(machine.sharing(2) == 1);
  CHECK(machine.sharing(8) == 4);
}
