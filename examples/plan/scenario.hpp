#pragma once

#include <array>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/json.hpp>
#include <dchag/planning/machine.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

namespace planner {

using dchag::Index;
using dchag::require;

/// What is planned: a model, its batches, a job and a machine. The model is the published one: every channel of an
/// image is predicted at every pixel, behind a head of two layers.
struct Scenario {
  Index channels = 512, embed = 4096, depth = 32, heads = 32;
  Index height = 128, width = 256, patch = 4;  // pixels
  Index batch = 2;                             // images of the ranks that share a model
  Index ranks = 16;
  std::string machine = "MI250X die";  // a name that the library knows, or the path of a JSON file

  struct Field {
    char const* name;
    Index Scenario::*value;
    Index largest;
    char const* what;
  };
  static constexpr std::array<Field, 9> fields() {
    return {{{"channels", &Scenario::channels, 1 << 20, "of an image"},
             {"embed", &Scenario::embed, 1 << 20, "features of a token"},
             {"depth", &Scenario::depth, 1 << 12, "blocks of the transformer"},
             {"heads", &Scenario::heads, 1 << 12, "of every attention; divides embed"},
             {"height", &Scenario::height, 1 << 20, "pixels"},
             {"width", &Scenario::width, 1 << 20, "pixels"},
             {"patch", &Scenario::patch, 1 << 10, "edge of a patch, pixels; divides height and width"},
             {"batch", &Scenario::batch, 1 << 16, "images of the ranks that share a model"},
             {"ranks", &Scenario::ranks, 1 << 20, "of the job, one a GPU"}}};
  }

  /// Throws Error that names the field where a number makes no sense.
  void check() const {
    for (Field const& field : fields()) {
      Index const value = this->*field.value;
      require(value >= 1 && value <= field.largest, field.name, " = ", value, ": give 1 to ", field.largest);
    }
    require(embed % heads == 0, "heads = ", heads, " does not divide embed = ", embed, ": change one of them");
    require(height % patch == 0 && width % patch == 0, "patch = ", patch, " does not divide height = ", height,
            " and width = ", width, ": change one of them");
    require(static_cast<double>(batch) * static_cast<double>(channels) * static_cast<double>(height) *
                    static_cast<double>(width) <
                static_cast<double>(std::numeric_limits<std::int32_t>::max()) * 64,
            "batch = ", batch, " images of channels = ", channels, ", height = ", height, " and width = ", width,
            " are more than any rank holds: make one of them smaller");
  }

  dchag::Json json() const {
    dchag::Json::object_t members;
    for (Field const& field : fields()) members.emplace_back(field.name, this->*field.value);
    members.emplace_back("machine", machine);
    return members;
  }

  /// Reads members of json over the fields. Throws Error naming a member that is none of them or of another kind.
  void read(dchag::Json const& json) {
    for (auto const& [name, value] : dchag::json_object(json, "scenario")) {
      bool known = name == "machine";
      if (known) machine = dchag::json_to<std::string>(value, name);
      for (Field const& field : fields()) {
        if (name != field.name) continue;
        this->*field.value = dchag::json_to<Index>(value, name);
        known = true;
      }
      require(known, "field \"", name, "\" is none of a scenario's: --help lists them");
    }
  }
};

/// A scenario's file read over the fields. Throws Error that begins with the path.
inline void read_scenario(std::filesystem::path const& path, Scenario& scenario) {
  std::ifstream file(path, std::ios::binary);
  require(file.good(), path.string(), ": cannot be read: give the path of a scenario's JSON file");
  std::string const text(std::istreambuf_iterator<char>(file), {});
  try {
    scenario.read(dchag::parse_json(text, "scenario"));
  } catch (dchag::Error const& error) {
    dchag::fail(path.string(), ": ", error.what());
  }
}

/// A machine by its name or by the path of its file.
inline dchag::Machine machine_of(Scenario const& scenario) {
  return scenario.machine.ends_with(".json") ? dchag::read_machine(scenario.machine)
                                             : dchag::known_machine(scenario.machine);
}

}  // namespace planner
