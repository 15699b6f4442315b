#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/io/json.hpp>
#include <dchag/io/safetensors.hpp>
#include <dchag/training/detail/checkpoint_checks.hpp>
#include <dchag/training/trainable.hpp>
#include <dchag/training/trainer.hpp>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

// A checkpoint is a safetensors file: every parameter under its name, the configuration of the model as JSON in the
// metadata "dchag.config". One that training can go on from holds besides the moments of AdamW, "optimizer.m.NAME" and
// "optimizer.v.NAME", and the number of steps taken in the metadata "dchag.step".
namespace dchag {

using Metadata = std::map<std::string, std::string>;

namespace detail {

/// The numbers of one tensor: those of a parameter, or the moments that belong to it.
template <class T, class Space>
using Numbers = View<T*, Space>;

template <class T, class Space>
struct NamedNumbers {
  std::string name;
  std::vector<std::size_t> shape;
  Numbers<T, Space> numbers;
};

/// Every parameter of a model; with the optimizer's state, its moments too.
template <class T, class Space>
std::vector<NamedNumbers<T, Space>> tensors_of(Parameters<T, Space>& parameters, AdamWState<T, Space> const* state) {
  std::vector<NamedNumbers<T, Space>> tensors;
  for (std::size_t i = 0; i < parameters.units().size(); ++i) {
    auto const& unit = parameters.units()[i];
    for (auto const* parameter : unit.parameters) {
      std::vector<std::size_t> const shape(parameter->shape.begin(), parameter->shape.end());
      Index const offset = parameter->values - unit.values.data(), size = parameter->size();
      auto const add = [&](std::string const& prefix, T* data) {
        tensors.push_back({prefix + parameter->name, shape, reshape<T*, Space>(data + offset, size)});
      };
      add("", unit.values.data());
      if (state == nullptr) continue;
      add("optimizer.m.", state->moments()[i].first.data());
      add("optimizer.v.", state->moments()[i].second.data());
    }
  }
  return tensors;
}

template <class T, class Space>
void write_tensors(std::filesystem::path const& path, Metadata const& metadata,
                   std::vector<NamedNumbers<T, Space>> const& tensors) {
  std::vector<SafetensorsWriter::Tensor> table;
  for (auto const& tensor : tensors) table.push_back({tensor.name, dtype_of<T>(), tensor.shape});
  SafetensorsWriter writer(path, metadata, std::move(table));
  for (auto const& tensor : tensors) {
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), tensor.numbers);
    writer.write(tensor.name, std::span<T const>(host.data(), host.size()));
  }
  writer.commit();
}

template <class T, class Space>
void read_tensors(SafetensorsFile const& file, std::vector<NamedNumbers<T, Space>> const& tensors) {
  for (auto const& tensor : tensors) {
    auto const host = Kokkos::create_mirror_view(Kokkos::HostSpace(), tensor.numbers);
    file.read(tensor.name, std::span<T>(host.data(), host.size()));
    Kokkos::deep_copy(tensor.numbers, host);
  }
}

/// Runs write() on the first rank of the world. Where it throws, every rank does.
template <class Write>
void on_first_rank(Communicator const& world, std::filesystem::path const& path, Write const& write) {
  int failed = 0;
  if (world.rank() == 0) {
    if (world.size() == 1) return write();
    try {
      write();
    } catch (std::exception const& error) {
      world.all_reduce(1, Reduction::max);
      throw;
    }
  }
  failed = world.all_reduce(failed, Reduction::max);
  require(failed == 0, path.string(), ": rank 0 could not write the checkpoint");
}

template <CheckpointModel Model>
void save_tensors(Model& model, AdamWState<typename Model::Scalar, typename Model::Space> const* state,
                  std::filesystem::path const& path, Metadata metadata) {
  metadata["dchag.config"] = model.config_json();
  if (state != nullptr) metadata["dchag.step"] = std::to_string(state->steps());
  on_first_rank(model.mesh().world(), path,
                [&] { write_tensors(path, metadata, tensors_of(model.parameters(), state)); });
}

template <CheckpointModel Model>
SafetensorsFile open_for(Model const& model, std::filesystem::path const& path) {
  SafetensorsFile file(path);
  auto const config = file.metadata().find("dchag.config");
  require(config != file.metadata().end(), path.string(),
          ": has no metadata \"dchag.config\", it is no checkpoint of this library");
  check_configuration(path.string(), config->second, model.config_json());
  return file;
}

}  // namespace detail

/// Writes the parameters of a model, with metadata of one's own. All ranks of the mesh call it, the first one writes;
/// where that fails, all throw, and what stood at the path before is unchanged.
template <CheckpointModel Model>
void save(Model& model, std::filesystem::path const& path, Metadata const& metadata = {}) {
  detail::save_tensors(model, nullptr, path, metadata);
}

/// Writes what is needed to go on training: the parameters, the moments of AdamW, the steps taken.
template <CheckpointModel Model, class Rate>
void save(Model& model, Trainer<Model, Rate> const& trainer, std::filesystem::path const& path,
          Metadata const& metadata = {}) {
  require(trainer.pending() == 0, path.string(), ": ", trainer.pending(),
          " batches of a step that is not complete would be lost: save between steps");
  detail::save_tensors(model, &trainer.optimizer_state(), path, metadata);
}

/// Reads the parameters of a model, from checkpoints of either kind, converting between float and double. Answers the
/// metadata of the file. Every rank reads for itself. Throws, with the model unchanged, where the file is of another
/// configuration (the first field that differs is named) or its tensors are not exactly those of the model.
template <CheckpointModel Model>
Metadata load(Model& model, std::filesystem::path const& path) {
  SafetensorsFile const file = detail::open_for(model, path);
  auto const tensors = detail::tensors_of<typename Model::Scalar, typename Model::Space>(model.parameters(), nullptr);
  detail::check_tensors(file, tensors, {}, detail::OptimizerTensors::ignored);
  detail::read_tensors(file, tensors);
  return file.metadata();
}

/// Reads what save(model, trainer, path) wrote: the steps that follow are those of a run that was never interrupted, to
/// the bit. Throws as load(model, path) does, and where the file is of the other precision or holds no state of
/// training.
template <CheckpointModel Model, class Rate>
Metadata load(Model& model, Trainer<Model, Rate>& trainer, std::filesystem::path const& path) {
  using T = typename Model::Scalar;
  SafetensorsFile const file = detail::open_for(model, path);
  Index const steps = detail::steps_of(file);
  auto const tensors = detail::tensors_of(model.parameters(), &trainer.optimizer_state());
  detail::check_tensors(file, tensors, dtype_of<T>(), detail::OptimizerTensors::expected);
  detail::read_tensors(file, tensors);
  trainer.optimizer_state().set_steps(steps);
  return file.metadata();
}

}  // namespace dchag
