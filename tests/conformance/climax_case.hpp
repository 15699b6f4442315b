#pragma once

#include <dchag/dchag.hpp>
#include <string>
#include <vector>

#include "folder.hpp"

// What climax.py wrote: a checkpoint of ClimaX's layout, and what a PyTorch model answers with it.
namespace dchag::tests {

inline std::string climax_golden(std::string const& name) {
  return folder() + "/conformance/goldens/" + name + ".safetensors";
}

/// The names that the answers' metadata give.
inline std::vector<std::string> climax_names(std::string const& which) {
  SafetensorsFile const answers(climax_golden("climax_answers_f64"));
  std::vector<std::string> names;
  Json const list = parse_json(answers.metadata().at(which), which);
  for (Json const& name : json_array(list, which)) names.push_back(json_to<std::string>(name, which));
  return names;
}
inline ClimaxVariables all_climax_variables() { return {climax_names("variables")}; }
inline ClimaxVariables some_climax_variables() {
  return {climax_names("variables"), climax_names("channels"), climax_names("out_channels")};
}

/// Of the checkpoint, for a model of those variables.
inline ForecasterConfig climax_config(ClimaxVariables const& variables) {
  auto const count = [&](auto const& names) {
    return static_cast<Index>((names.empty() ? variables.checkpoint : names).size());
  };
  return {.channels = count(variables.channels),
          .out_channels = count(variables.out_channels),
          .height = 6,
          .width = 8,
          .patch = 2,
          .embed = 16,
          .heads = 4,
          .depth = 2,
          .mlp_ratio = 2,
          .decoder_depth = 2};
}

}  // namespace dchag::tests
