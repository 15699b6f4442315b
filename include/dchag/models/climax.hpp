#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <dchag/core/channel.hpp>
#include <dchag/core/error.hpp>
#include <dchag/io/safetensors.hpp>
#include <dchag/models/forecaster.hpp>
#include <dchag/models/settings.hpp>
#include <dchag/parallel/agreement.hpp>
#include <dchag/training/adamw.hpp>
#include <dchag/training/checkpoint.hpp>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace dchag {

/// The variables of a ClimaX checkpoint, and which of them are the channels of the model that takes its weights.
struct ClimaxVariables {
  std::vector<std::string> checkpoint;      // that it was trained with (its default_vars), in its order
  std::vector<std::string> channels{};      // of the model, in the model's order; none given: the names that the
                                            // model's channels have, or where they have none, those of the checkpoint
  std::vector<std::string> out_channels{};  // of the forecast, likewise
};

namespace detail {

inline std::string joined(std::vector<std::string> const& names) {
  std::string text;
  for (auto const& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Where the parameters of a flat Forecaster stand in a ClimaX checkpoint (Nguyen et al., arXiv 2301.10343), whose
/// variables have a tensor each, or rows of one, and whose head gives all variables of a pixel after each other.
class ClimaxLayout {
 public:
  struct Tensor {
    std::string name;
    std::vector<std::size_t> shape;
  };

  /// Throws where the names are not those of variables of the checkpoint, or the file is of something else. The file
  /// must outlive it.
  ClimaxLayout(SafetensorsFile const& file, ForecasterConfig const& config, ClimaxVariables const& variables)
      : file_(&file),
        embed_(config.embed),
        patch_(config.patch),
        variables_(static_cast<Index>(variables.checkpoint.size())),
        channels_(numbers(variables.checkpoint, "channels", variables.channels, config.channel_list, config.channels)),
        out_channels_(numbers(variables.checkpoint, "out_channels", variables.out_channels, config.out_channel_list,
                              config.out_channels)),
        prefix_(file.find("net.pos_embed") != nullptr ? "net." : ""),
        aggregator_(prefix_ + (file.find(prefix_ + "channel_embed") != nullptr ? "channel_" : "var_")),
        one_tensor_(file.find(prefix_ + "token_embeds.proj_weights") != nullptr),
        last_of_head_("head." + std::to_string(2 * config.decoder_depth) + ".") {
    numbers(variables.checkpoint, "variables of the checkpoint", variables.checkpoint, {}, variables_);
    TensorInfo const* const embedding = file.find(aggregator_ + "embed");
    if (embedding == nullptr) {
      Names found;
      for (auto const& tensor : file.tensors()) found.add(tensor.name);
      fail(file.path().string(),
           ": is no ClimaX checkpoint: expected tensors var_embed, pos_embed, blocks.0.norm1.weight "
           "and so on, with or without \"net.\" before them, found ",
           found.empty() ? "none" : found.text());
    }
    require(embedding->shape.size() != 3 || embedding->shape[1] == variables.checkpoint.size(), file.path().string(),
            ": is of ", embedding->shape.size() == 3 ? embedding->shape[1] : 0, " variables, expected the ",
            variables.checkpoint.size(), " named as the checkpoint's: ", joined(variables.checkpoint));
  }

  /// Finds the place of the parameter of that name and shape.
  void place(std::string const& name, std::vector<Index> const& shape) {
    std::vector<Piece>& pieces = pieces_[name];
    place(pieces, name, shape);
    Index size = 0;
    for (Piece const& piece : pieces) size += piece.count;
    require(size == size_of(shape), "ClimaX variables: parameter ", name, " has ", size_of(shape),
            " elements, and those of a ClimaX model ", size, ": such a model forecasts what it reads, once");
  }

  /// Every tensor that the file must hold for what was placed.
  std::vector<Tensor> const& tensors() const { return tensors_; }

  /// Reads elements of the whole parameter from number `first` on.
  template <class T>
  void read(std::string const& name, std::size_t first, std::span<T> values) const {
    for (Piece const& piece : pieces_.at(name)) {
      auto const count = static_cast<std::size_t>(piece.count), begin = std::min(first, count),
                 length = std::min(count - begin, values.size());
      first -= begin;
      if (length == 0) continue;
      file_->read_elements(piece.tensor, static_cast<std::size_t>(piece.first) + begin, values.first(length));
      values = values.subspan(length);
    }
  }

 private:
  /// Elements that follow each other in a tensor of the file, as they do in a parameter.
  struct Piece {
    std::string tensor;
    Index first, count;
  };

  /// The numbers in the checkpoint of the variables that are a model's channels.
  static std::vector<Index> numbers(std::vector<std::string> const& known, char const* field,
                                    std::vector<std::string> const& given, std::vector<Channel> const& of_model,
                                    Index count) {
    std::vector<std::string> const names = !given.empty() ? given : !of_model.empty() ? names_of(of_model) : known;
    std::vector<Index> found;
    Names unknown, twice;
    std::set<std::string> seen;
    for (auto const& name : names) {
      auto const at = std::find(known.begin(), known.end(), name);
      if (at == known.end()) unknown.add(name);
      if (!seen.insert(name).second) twice.add(name);
      found.push_back(at - known.begin());
    }
    require(unknown.empty(), "ClimaX variables: ", field, " are not the checkpoint's: ", unknown.text(),
            ": expected some of ", joined(known));
    require(twice.empty(), "ClimaX variables: ", field, " are named twice: ", twice.text());
    require(static_cast<Index>(found.size()) == count, "ClimaX variables: the model has ", field, " = ", count,
            ", but there are ", found.size(), " names: ", joined(names));
    return found;
  }

  void place(std::vector<Piece>& pieces, std::string const& name, std::vector<Index> const& shape) {
    std::string const unit = "aggregator.0.0.";
    if (name == "tokenizer.weight") return place_tokens(pieces, "weight", {embed_, 1, patch_, patch_});
    if (name == "tokenizer.bias") return place_tokens(pieces, "bias", {embed_});
    if (name == "channel_embed") {
      std::string const tensor = expect(aggregator_ + "embed", {1, variables_, embed_});
      for (Index variable : channels_) pieces.push_back({tensor, variable * embed_, embed_});
    } else if (name.starts_with(last_of_head_)) {
      place_last_of_head(pieces, name, shape.size() > 1);
    } else if (name == unit + "query") {
      pieces = {{expect(aggregator_ + "query", shape), 0, size_of(shape)}};
    } else if (name.starts_with(unit)) {
      pieces = {{expect(aggregator_ + "agg." + name.substr(unit.size()), shape), 0, size_of(shape)}};
    } else {
      pieces = {{expect(prefix_ + name, shape), 0, size_of(shape)}};
    }
  }

  static Index size_of(std::vector<Index> const& shape) {
    Index size = 1;
    for (Index extent : shape) size *= extent;
    return size;
  }

  std::string const& expect(std::string name, std::vector<Index> const& shape) {
    tensors_.push_back({std::move(name), std::vector<std::size_t>(shape.begin(), shape.end())});
    return tensors_.back().name;
  }

  /// The patch embedding of each channel: of the variables one by one, or [variables, ...].
  void place_tokens(std::vector<Piece>& pieces, std::string const& what, std::vector<Index> shape) {
    std::string const embeds = prefix_ + "token_embeds.";
    Index const size = size_of(shape);
    if (one_tensor_) {
      shape.insert(shape.begin(), variables_);
      std::string const tensor = expect(embeds + (what == "weight" ? "proj_weights" : "proj_biases"), shape);
      for (Index variable : channels_) pieces.push_back({tensor, variable * size, size});
      return;
    }
    auto const name = [&](Index variable) { return embeds + std::to_string(variable) + ".proj." + what; };
    for (Index variable = 0; variable < variables_; ++variable) expect(name(variable), shape);
    for (Index variable : channels_) pieces.push_back({name(variable), 0, size});
  }

  /// Rows of weights, or biases: of a pixel of a patch all variables, then those of the next.
  void place_last_of_head(std::vector<Piece>& pieces, std::string const& name, bool weight) {
    Index const pixels = patch_ * patch_, rows = pixels * variables_, width = weight ? embed_ : 1;
    std::string const tensor =
        expect(prefix_ + name, weight ? std::vector<Index>{rows, width} : std::vector<Index>{rows});
    for (Index pixel = 0; pixel < pixels; ++pixel)
      for (Index variable : out_channels_) pieces.push_back({tensor, (pixel * variables_ + variable) * width, width});
  }

  SafetensorsFile const* file_;
  Index embed_, patch_, variables_;
  std::vector<Index> channels_, out_channels_;
  std::string prefix_, aggregator_;  // before all names, and before those of the aggregation of variables
  bool one_tensor_;                  // of the patch embeddings of all variables
  std::string last_of_head_;
  std::vector<Tensor> tensors_;
  std::map<std::string, std::vector<Piece>> pieces_;
};

}  // namespace detail

/// Reads the weights of a ClimaX checkpoint, a safetensors file in the names of its PyTorch model ("net." before them
/// or not, the patch embeddings of its variables apart or in one tensor), into a Forecaster whose channels and forecast
/// are some of its variables, in any order: it then forecasts what ClimaX does from those. Answers the metadata of the
/// file.
///
/// The configuration must be that of the checkpoint; nothing in it tells the number of heads. All ranks of the mesh
/// call it with the same variables, each reads what it holds. Throws on all of them, with the model unchanged, where a
/// variable is not the checkpoint's or its tensors are not exactly those of such a model.
///
///     load_climax(model, "climax.safetensors", {.checkpoint = default_vars, .out_channels = {"geopotential_500"}});
template <class... Policies>
Metadata load_climax(Forecaster<Policies...>& model, std::filesystem::path const& path,
                     ClimaxVariables const& variables) {
  static_assert(std::same_as<typename Settings<Policies...>::Tree, Tree<CrossAttention<1>>>,
                "ClimaX aggregates its variables by one attention: its weights need Tree<CrossAttention<1>>");
  using T = typename Forecaster<Policies...>::Scalar;
  Communicator const& world = model.mesh().world();
  check_same(world, "ClimaX variables",
             {{"checkpoint", detail::joined(variables.checkpoint)},
              {"channels", detail::joined(variables.channels)},
              {"out_channels", detail::joined(variables.out_channels)}});
  AdamWState<T, typename Forecaster<Policies...>::Space> const* const no_state = nullptr;
  auto const parts = detail::tensors_of(model.parameters(), no_state, detail::Parts::kept);
  std::optional<SafetensorsFile> file;
  std::optional<detail::ClimaxLayout> layout;
  detail::together(world, [&] {
    layout.emplace(file.emplace(path), model.config(), variables);
    for (auto const& parameter : model.parameters().all()) layout->place(parameter.name, parameter.shape);
    detail::check_tensors(*file, layout->tensors(), {}, detail::OptimizerTensors::expected);
  });
  detail::together(world, [&] {
    detail::read_parts(parts, [&](std::string const& name, std::size_t first, std::span<T> values) {
      layout->read(name, first, values);
    });
  });
  model.parameters().values_changed();
  return file->metadata();
}

}  // namespace dchag
