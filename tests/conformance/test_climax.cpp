#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <functional>
#include <string>
#include <vector>

#include "climax_case.hpp"
#include "io/scratch.hpp"
#include "space.hpp"

namespace {

using namespace dchag;
using tests::climax_config;
using tests::climax_golden;
using tests::error_of;
using tests::holds;

template <class T>
using Model = Forecaster<Precision<T>, dchag::Space<tests::Space>>;

/// The largest difference from the PyTorch model's forecast, relative to its largest magnitude.
template <class T>
double difference(ClimaxVariables const& variables, std::string const& which) {
  auto const config = climax_config(variables);
  Model<T> model(Mesh(), config, {.seed = 3});
  load_climax(model, climax_golden("climax_f64"), variables);
  SafetensorsFile const answers(climax_golden("climax_answers_f64"));
  auto const upload = [&](std::string const& name) {
    auto const values = answers.read<T>(name);
    Kokkos::View<T*, tests::Space> const view(name, values.size());
    Kokkos::deep_copy(view, Kokkos::View<T const*, Kokkos::HostSpace>(values.data(), values.size()));
    return view;
  };
  auto const input = upload("input." + which), lead_time = upload("lead_time");
  auto const images = static_cast<Index>(lead_time.size());
  typename Model<T>::Batch const batch{
      reshape<T const****, tests::Space>(static_cast<T const*>(input.data()), images, config.channels, config.height,
                                         config.width),
      {},
      reshape<T const*, tests::Space>(static_cast<T const*>(lead_time.data()), images)};
  auto const expected = answers.read<double>("output." + which);
  Kokkos::View<T*, tests::Space> const output("output", expected.size());
  Workspace<tests::Space> workspace(std::size_t{1} << 20);
  model.predict(Context<tests::Space>(workspace), batch,
                reshape<T****, tests::Space>(output.data(), images, config.out_channels, config.height, config.width));
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), output);
  double off = 0, largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double const here = std::abs(static_cast<double>(host(i)) - expected[i]);
    off = here <= off ? off : here;  // a NaN stays
    largest = std::max(largest, std::abs(expected[i]));
  }
  return off / largest;
}

struct Stored {
  std::string name;
  std::vector<std::size_t> shape;
  std::vector<double> values;
};

/// The checkpoint with its tensors changed.
std::filesystem::path changed(tests::Scratch const& folder, std::function<void(std::vector<Stored>&)> const& change) {
  SafetensorsFile const file(climax_golden("climax_f64"));
  std::vector<Stored> tensors;
  for (auto const& tensor : file.tensors())
    tensors.push_back({tensor.name, tensor.shape, file.read<double>(tensor.name)});
  change(tensors);
  std::vector<SafetensorsWriter::Tensor> table;
  for (auto const& tensor : tensors) table.push_back({tensor.name, Dtype::F64, tensor.shape});
  SafetensorsWriter writer(folder / "changed.safetensors", {}, table);
  for (auto const& tensor : tensors) writer.write(tensor.name, tensor.values);
  writer.commit();
  return folder / "changed.safetensors";
}

std::vector<double> values_of(Model<double>& model) {
  std::vector<double> all;
  for (auto const& parameter : model.parameters().all()) {
    auto const host =
        Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), parameter.value<double*>(parameter.size()));
    all.insert(all.end(), host.data(), host.data() + host.size());
  }
  return all;
}

/// The message of loading into a model, which must then be as before.
std::string refusal(std::filesystem::path const& path, ClimaxVariables const& variables,
                    ForecasterConfig const& config) {
  Model<double> model(Mesh(), config);
  auto const before = values_of(model);
  std::string const message = error_of([&] { load_climax(model, path, variables); });
  CHECK(values_of(model) == before);
  return message;
}
std::string refusal(std::filesystem::path const& path) {
  auto const variables = tests::all_climax_variables();
  return refusal(path, variables, climax_config(variables));
}

}  // namespace

TEST_CASE_TEMPLATE("weights of ClimaX give the forecast of a PyTorch model", T, float, double) {
  CHECK(difference<T>(tests::all_climax_variables(), "all") < (std::is_same_v<T, double> ? 1e-10 : 1e-4));
}

TEST_CASE("channels and forecast may be some of ClimaX's variables, in any order") {
  CHECK(difference<double>(tests::some_climax_variables(), "some") < 1e-10);
}

TEST_CASE("a model whose channels have names takes the variables of those names") {
  auto const variables = tests::some_climax_variables();
  auto config = climax_config(variables);
  Model<double> expected(Mesh(), config);
  for (auto const& name : variables.channels) config.channel_list.push_back({name});
  for (auto const& name : variables.out_channels) config.out_channel_list.push_back({name});
  Model<double> model(Mesh(), config, {.seed = 1});
  load_climax(expected, climax_golden("climax_f64"), variables);
  load_climax(model, climax_golden("climax_f64"), {variables.checkpoint});
  CHECK(values_of(model) == values_of(expected));
}

TEST_CASE("a checkpoint of ClimaX may have a prefix, channels for variables, and its patch embeddings in one tensor") {
  tests::Scratch const folder;
  auto const variables = tests::some_climax_variables();
  Model<double> expected(Mesh(), climax_config(variables)), model(Mesh(), climax_config(variables));
  load_climax(expected, climax_golden("climax_f64"), variables);
  load_climax(model,
              changed(folder,
                      [](std::vector<Stored>& tensors) {
                        Stored weights{"token_embeds.proj_weights", {5, 16, 1, 2, 2}, {}},
                            biases{"token_embeds.proj_biases", {5, 16}, {}};
                        for (std::size_t variable = 0; variable < 5; ++variable)
                          for (auto const& tensor : tensors) {
                            std::string const name = "token_embeds." + std::to_string(variable) + ".proj.";
                            auto& all = tensor.name == name + "weight" ? weights.values : biases.values;
                            if (tensor.name.starts_with(name))
                              all.insert(all.end(), tensor.values.begin(), tensor.values.end());
                          }
                        std::erase_if(tensors, [](Stored const& t) { return t.name.starts_with("token"); });
                        tensors.push_back(weights);
                        tensors.push_back(biases);
                        for (auto& tensor : tensors) {
                          if (tensor.name.starts_with("var_")) tensor.name.replace(0, 3, "channel");
                          tensor.name.insert(0, "net.");
                        }
                      }),
              variables);
  CHECK(values_of(model) == values_of(expected));
}

TEST_CASE("a file that is not of such a model is refused, and the model stays as it was") {
  tests::Scratch const folder;
  auto const find = [](std::vector<Stored>& tensors, std::string const& name) -> Stored& {
    return *std::find_if(tensors.begin(), tensors.end(), [&](Stored const& tensor) { return tensor.name == name; });
  };
  auto const with = [&](std::function<void(std::vector<Stored>&)> const& change) {
    return refusal(changed(folder, change));
  };
  CHECK(holds(with([&](auto& tensors) { find(tensors, "var_agg.in_proj_bias").name = "var_agg.bias"; }),
              "tensors are missing: var_agg.in_proj_bias; the file holds others: var_agg.bias"));
  CHECK(holds(with([&](auto& tensors) {
                find(tensors, "pos_embed").shape = {1, 16, 12};
              }),
              "other shapes than in the model: pos_embed [1, 16, 12] instead of [1, 12, 16]"));
  CHECK(holds(with([&](auto& tensors) {
                find(tensors, "token_embeds.4.proj.weight").shape = {16, 2, 2};
              }),
              "token_embeds.4.proj.weight [16, 2, 2] instead of [16, 1, 2, 2]"));
  CHECK(holds(with([&](auto& tensors) {
                tensors.push_back({"blocks.2.norm1.weight", {16}, std::vector<double>(16)});
              }),
              "holds tensors that the model does not have: blocks.2.norm1.weight"));
  CHECK(holds(with([&](auto& tensors) {
                tensors = {{"weight", {1}, {1}}};
              }),
              "is no ClimaX checkpoint: expected tensors var_embed, pos_embed, blocks.0.norm1.weight and so on"));
  CHECK(holds(refusal(folder / "none"), "none"));
}

TEST_CASE("variables that are not the checkpoint's are refused, with what it has") {
  auto const path = climax_golden("climax_f64");
  auto const all = tests::all_climax_variables();
  auto const config = climax_config(tests::some_climax_variables());
  auto variables = tests::some_climax_variables();
  variables.channels[1] = "snow";
  CHECK(holds(refusal(path, variables, config),
              "channels are not the checkpoint's: snow: expected some of land_sea_mask, 2m_temperature, "));
  variables.channels[1] = variables.channels[0];
  CHECK(holds(refusal(path, variables, config), "channels are named twice: temperature_850"));
  variables.channels.pop_back();
  variables.channels[1] = "land_sea_mask";
  CHECK(holds(refusal(path, variables, config), "the model has channels = 4, but there are 3 names: temperature_850"));
  variables = tests::some_climax_variables();
  variables.checkpoint.push_back("2m_temperature");
  CHECK(holds(refusal(path, variables, config), "variables of the checkpoint are named twice: 2m_temperature"));
  variables = all;
  variables.checkpoint.pop_back();
  CHECK(holds(refusal(path, variables, climax_config(variables)),
              "is of 5 variables, expected the 4 named as the checkpoint's: land_sea_mask"));
  CHECK(holds(refusal(path, {}, climax_config(all)), "the model has channels = 5, but there are 0 names"));
}
