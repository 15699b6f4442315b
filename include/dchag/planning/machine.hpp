#pragma once

#include <array>
#include <cmath>
#include <dchag/core/error.hpp>
#include <dchag/io/json.hpp>
#include <dchag/planning/detail/known_machines.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dchag {

/// A message of b bytes takes latency + b / bandwidth.
struct Link {
  double latency = 0;    // seconds, of one step of a collective, its start included
  double bandwidth = 0;  // bytes a second that a rank sends while it receives as many
};

/// What a step runs on: figures of one rank while all ranks of its node work, as attained by large operations, not
/// peaks.
///
/// As JSON it is an object of the fields below, in the units that their names end in; see json() and from().
struct Machine {
  std::string name, source;  // where the figures are from, and what is assumed
  double memory = 0;         // bytes
  // Of products, multiply-adds a second, in float, double and bfloat16; zero: not known.
  double float_rate = 0, double_rate = 0, bfloat16_rate = 0;
  // Of matrices with a side of s products run at s / (s + half_side) of these rates (Hockney and Jesshope, 1981).
  double half_side = 0;
  double loop_rate = 0;        // multiply-adds a second of loops that are no products, in float
  double bandwidth = 0;        // bytes a second to and from memory
  double cache = 0;            // bytes of a rank's cache; zero: it makes no difference
  double cache_bandwidth = 0;  // bytes a second of loops whose operands fit it
  double launch = 0;           // seconds to start a kernel
  Link node, network;          // between ranks of a node, and of different ones
  int ranks_a_node = 1;        // that have a device, or cores, of their own
  int nodes = 0;               // that there are; zero: as many as are asked for
  bool device = true;          // a rank has a GPU, not cores
  bool overlaps = true;        // a collective that was started goes on while kernels run

  /// Throws where a figure makes no sense, naming it.
  void check() const {
    auto const positive = [&](char const* field, double value) {
      require(std::isfinite(value) && value > 0, "machine ", name, ": ", field, " = ", value,
              ": give a finite figure above 0");
    };
    auto const not_negative = [&](char const* field, double value) {
      require(std::isfinite(value) && value >= 0, "machine ", name, ": ", field, " = ", value,
              ": give a finite figure, 0 or above");
    };
    require(!name.empty(), "machine: name = \"\": give it a name");
    positive("memory_gib", memory);
    positive("float_gflops", float_rate);
    positive("loop_gflops", loop_rate);
    positive("bandwidth_gb_s", bandwidth);
    positive("node_gb_s", node.bandwidth);
    positive("network_gb_s", network.bandwidth);
    for (auto const& [field, value] : {std::pair("double_gflops", double_rate),
                                       {"bfloat16_gflops", bfloat16_rate},
                                       {"half_side", half_side},
                                       {"cache_mib", cache},
                                       {"cache_gb_s", cache_bandwidth},
                                       {"launch_us", launch},
                                       {"node_latency_us", node.latency},
                                       {"network_latency_us", network.latency}})
      not_negative(field, value);
    require(ranks_a_node >= 1, "machine ", name, ": ranks_a_node = ", ranks_a_node, ": give at least 1");
    require(nodes >= 0, "machine ", name, ": nodes = ", nodes, ": give how many there are, or 0 for any number");
    require((cache > 0) == (cache_bandwidth > 0), "machine ", name, ": cache_mib and cache_gb_s: give both or none");
  }

  /// Ranks that work on one device, or on the same cores, where the job has that many.
  double sharing(int ranks) const {
    double const own = static_cast<double>(ranks_a_node) * nodes;
    return nodes == 0 || ranks <= own ? 1.0 : ranks / own;
  }

  Json json() const {
    Json fields{{"name", name}, {"source", source}};
    for (Figure const& figure : figures()) fields[figure.name] = this->*figure.field / figure.unit;
    for (auto const& [prefix, link] : {std::pair("node", &node), {"network", &network}}) {
      fields[std::string(prefix) + "_latency_us"] = link->latency * 1e6;
      fields[std::string(prefix) + "_gb_s"] = link->bandwidth / 1e9;
    }
    fields["ranks_a_node"] = ranks_a_node;
    fields["nodes"] = nodes;
    fields["device"] = device;
    fields["overlaps"] = overlaps;
    return fields;
  }

  /// Throws where a field is missing, unknown, of the wrong kind, or of a value that makes no sense.
  static Machine from(Json const& json) {
    Machine machine;
    machine.name = json_get<std::string>(json, "name");
    machine.source = json_get<std::string>(json, "source", "");
    for (Figure const& figure : figures()) {
      double const value = figure.needed ? json_get<double>(json, figure.name) : json_get<double>(json, figure.name, 0);
      machine.*figure.field = value * figure.unit;
    }
    for (auto const& [prefix, link] : {std::pair("node", &machine.node), {"network", &machine.network}}) {
      link->latency = json_get<double>(json, std::string(prefix) + "_latency_us") * 1e-6;
      link->bandwidth = json_get<double>(json, std::string(prefix) + "_gb_s") * 1e9;
    }
    machine.ranks_a_node = json_get<int>(json, "ranks_a_node");
    machine.nodes = json_get<int>(json, "nodes", 0);
    machine.device = json_get<bool>(json, "device", true);
    machine.overlaps = json_get<bool>(json, "overlaps", true);
    Json const known = machine.json();
    for (auto const& [field, value] : json_object(json, "machine"))
      require(json_find(known, field) != nullptr, "machine ", machine.name, ": field \"", field,
              "\" is none of a machine's: leave it out, or write a comment into source");
    machine.check();
    return machine;
  }

 private:
  struct Figure {
    char const* name;
    double Machine::*field;
    double unit;
    bool needed = true;
  };
  static std::array<Figure, 10> figures() {
    constexpr double flops = 0.5e9;  // a multiply-add is two operations
    return {{{"memory_gib", &Machine::memory, 1024.0 * 1024 * 1024},
             {"float_gflops", &Machine::float_rate, flops},
             {"double_gflops", &Machine::double_rate, flops, false},
             {"bfloat16_gflops", &Machine::bfloat16_rate, flops, false},
             {"half_side", &Machine::half_side, 1, false},
             {"loop_gflops", &Machine::loop_rate, flops},
             {"bandwidth_gb_s", &Machine::bandwidth, 1e9},
             {"cache_mib", &Machine::cache, 1024.0 * 1024, false},
             {"cache_gb_s", &Machine::cache_bandwidth, 1e9, false},
             {"launch_us", &Machine::launch, 1e-6}}};
  }
};

/// The machines that the library knows by name.
inline std::vector<Machine> known_machines() {
  std::vector<Machine> machines;
  Json const all = parse_json(detail::known_machines, "known machines");
  for (Json const& one : json_array(all, "known machines")) machines.push_back(Machine::from(one));
  return machines;
}

/// Throws where the library knows none of that name, and says which it knows.
inline Machine known_machine(std::string_view name) {
  std::string known;
  for (Machine const& machine : known_machines()) {
    if (machine.name == name) return machine;
    known += (known.empty() ? "" : ", ") + machine.name;
  }
  fail("machine = \"", name, "\" is not known: choose one of ", known,
       ", or describe yours in a JSON file (benchmarks/calibrate writes one) and give its path to read_machine()");
}

/// A machine described in a JSON file. Throws Error that begins with the path.
inline Machine read_machine(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  require(file.good(), path.string(), ": cannot be read: give the path of a machine's JSON file");
  std::string const text(std::istreambuf_iterator<char>(file), {});
  try {
    return Machine::from(parse_json(text, "machine"));
  } catch (Error const& error) {
    fail(path.string(), ": ", error.what());
  }
}

}  // namespace dchag
