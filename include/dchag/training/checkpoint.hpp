#pragma once

#include <cstddef>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/io/safetensors.hpp>
#include <dchag/parallel/mesh.hpp>
#include <dchag/training/detail/checkpoint_checks.hpp>
#include <dchag/training/detail/together.hpp>
#include <dchag/training/trainable.hpp>
#include <dchag/training/trainer.hpp>
#include <filesystem>
#include <map>
#include <optional>
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

/// The part of one tensor that stands on this rank: of a parameter, or of the moments that belong to it.
template <class T, class Space>
struct TensorPart {
  std::string name;
  std::vector<std::size_t> shape;  // of the whole tensor
  Placement const* placement;
  Index first;              // of the elements that this rank holds
  View<T*, Space> numbers;  // those from `first` on
};

enum class Parts { kept, owned };

/// Of every parameter of a model; with the optimizer's state, of its moments too. Values are those that this rank
/// keeps, or those that it updates alone among the ranks of the shard axis.
template <class T, class Space>
std::vector<TensorPart<T, Space>> tensors_of(Parameters<T, Space>& parameters, AdamWState<T, Space> const* state,
                                             Parts parts) {
  std::vector<TensorPart<T, Space>> tensors;
  for (std::size_t i = 0; i < parameters.units().size(); ++i) {
    auto const& unit = parameters.units()[i];
    for (auto const* parameter : unit.parameters) {
      std::vector<std::size_t> const shape(parameter->shape.begin(), parameter->shape.end());
      auto const owned = Parameters<T, Space>::owned_part(unit, *parameter);
      auto const add = [&](std::string const& prefix, Index first, T* data, Index count) {
        tensors.push_back(
            {prefix + parameter->name, shape, &parameter->placement, first, reshape<T*, Space>(data, count)});
      };
      auto const& kept = parameter->kept;
      if (parts == Parts::kept)
        add("", kept.first, kept.values, kept.count);
      else
        add("", owned.first, kept.values + (owned.first - kept.first), owned.count);
      if (state == nullptr) continue;
      add("optimizer.m.", owned.first, state->moments()[i].first.data() + owned.at, owned.count);
      add("optimizer.v.", owned.first, state->moments()[i].second.data() + owned.at, owned.count);
    }
  }
  return tensors;
}

/// Whether this rank writes what it holds: one of the ranks that hold the same.
inline bool is_writer(Mesh const& mesh, Shard const& shard, Placement const& placement) {
  return mesh.data().rank() == 0 && (shard.count > 1 || mesh.shard().rank() == 0) &&
         (placement.sharing == Sharing::divided || mesh.model().rank() == 0);
}

/// Answers how many elements this rank wrote.
template <class T, class Space, class Writes>
std::uint64_t write_parts(std::filesystem::path const& aside, std::vector<TensorPart<T, Space>> const& tensors,
                          Writes const& writes) {
  std::optional<SafetensorsPieces> file;
  for (auto const& tensor : tensors) {
    Index const count = static_cast<Index>(tensor.numbers.size());
    if (count == 0 || !writes(*tensor.placement)) continue;
    if (!file) file.emplace(aside);
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), tensor.numbers);
    tensor.placement->runs(tensor.first, count, [&](Index whole, Index held, Index length) {
      file->write(tensor.name, static_cast<std::size_t>(whole),
                  std::span<T const>(host.data() + (held - tensor.first), static_cast<std::size_t>(length)));
    });
  }
  if (!file) return 0;
  file->close();
  return file->written();
}

/// read(name, first, values) gives elements of the whole tensor of that name, from number `first` on.
template <class T, class Space, class Read>
void read_parts(std::vector<TensorPart<T, Space>> const& tensors, Read const& read) {
  for (auto const& tensor : tensors) {
    auto const host = Kokkos::create_mirror_view(Kokkos::HostSpace(), tensor.numbers);
    tensor.placement->runs(tensor.first, static_cast<Index>(host.size()), [&](Index whole, Index held, Index length) {
      read(tensor.name, static_cast<std::size_t>(whole),
           std::span<T>(host.data() + (held - tensor.first), static_cast<std::size_t>(length)));
    });
    copy(Space(), tensor.numbers, host);
    Space().fence("dchag::checkpoint::read");
  }
}

/// The first rank lays the file out aside, all ranks write what they hold, the first one puts it in place.
template <CheckpointModel Model>
void save_tensors(Model& model, AdamWState<typename Model::Scalar, typename Model::Space> const* state,
                  std::filesystem::path const& path, Metadata metadata) {
  using T = typename Model::Scalar;
  metadata["dchag.config"] = model.config_json();
  if (state != nullptr) metadata["dchag.step"] = std::to_string(state->steps());
  Mesh const& mesh = model.mesh();
  Communicator const& world = mesh.world();
  auto const tensors = tensors_of(model.parameters(), state, Parts::owned);
  std::uint64_t expected = 0, written = 0;
  std::vector<SafetensorsWriter::Tensor> table;
  for (auto const& tensor : tensors) {
    std::uint64_t elements = 1;
    for (std::size_t extent : tensor.shape) elements *= extent;
    expected += elements;
    table.push_back({tensor.name, dtype_of<T>(), tensor.shape});
  }

  std::optional<SafetensorsWriter> writer;
  std::string aside;
  together(world, [&] {
    if (world.rank() == 0) aside = writer.emplace(path, metadata, std::move(table)).share().string();
  });
  aside = world.all_gather(aside)[0];  // of the first rank
  together(world, [&] {
    written = write_parts(aside, tensors, [&](Placement const& placement) {
      return is_writer(mesh, model.parameters().shard(), placement);
    });
  });
  written = world.all_reduce(written);
  require(written == expected, path.string(), ": the ranks hold ", written, " elements of tensors of ", expected,
          ": what divides a parameter must give each of its entries to one rank");
  together(world, [&] {
    if (writer) writer->commit();
  });
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

template <CheckpointModel Model>
Metadata load_tensors(Model& model, AdamWState<typename Model::Scalar, typename Model::Space>* state,
                      std::filesystem::path const& path) {
  using T = typename Model::Scalar;
  Communicator const& world = model.mesh().world();
  std::optional<SafetensorsFile> file;
  auto const tensors = tensors_of(model.parameters(), state, Parts::kept);
  Index steps = 0;
  together(world, [&] {
    file.emplace(open_for(model, path));
    if (state == nullptr) return check_tensors(*file, tensors, {}, OptimizerTensors::ignored);
    steps = steps_of(*file);
    check_tensors(*file, tensors, dtype_of<T>(), OptimizerTensors::expected);
  });
  together(world, [&] {
    read_parts(tensors, [&](std::string const& name, std::size_t first, std::span<T> values) {
      file->read_elements(name, first, values);
    });
  });
  model.parameters().values_changed();
  if (state != nullptr) state->set_steps(steps);
  return file->metadata();
}

}  // namespace detail

/// Writes the parameters of a model, with metadata of one's own: whole tensors, whatever the mesh. All ranks of the
/// mesh call it, each writes what it holds; where that fails on one, all throw, and what stood at the path before is
/// unchanged. The metadata is the first rank's.
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

/// Reads the parameters of a model, from checkpoints of either kind and of any mesh, converting between float and
/// double. Answers the metadata of the file. All ranks of the mesh call it, each reads what it holds. Throws on all of
/// them, with the model unchanged, where the file is of another configuration (the first field that differs is named)
/// or its tensors are not exactly those of the model.
template <CheckpointModel Model>
Metadata load(Model& model, std::filesystem::path const& path) {
  return detail::load_tensors(model, nullptr, path);
}

/// Reads what save(model, trainer, path) wrote: the steps that follow are those of a run that was never interrupted, to
/// the bit on the same mesh and to rounding on another. Throws as load(model, path) does, and where the file is of the
/// other precision or holds no state of training.
template <CheckpointModel Model, class Rate>
Metadata load(Model& model, Trainer<Model, Rate>& trainer, std::filesystem::path const& path) {
  return detail::load_tensors(model, &trainer.optimizer_state(), path);
}

}  // namespace dchag
