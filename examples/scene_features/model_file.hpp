#pragma once

#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/io/channel_statistics.hpp>
#include <dchag/io/json.hpp>
#include <dchag/io/safetensors.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// What a model's file says of it besides the parameters.
struct ModelFile {
  dchag::MaskedAutoencoderConfig config;
  std::size_t levels;  // of its tree
  // Of the bands that it was trained on, where they were saved.
  std::optional<std::vector<dchag::ChannelStatistics>> statistics;

  explicit ModelFile(std::filesystem::path const& path) {
    dchag::SafetensorsFile const file(path);
    auto const find = [&](char const* name) -> std::optional<dchag::Json> {
      auto const found = file.metadata().find(name);
      if (found == file.metadata().end()) return {};
      return dchag::parse_json(found->second, path.string() + ": metadata " + name);
    };
    auto const json = find("dchag.config");
    dchag::require(json && dchag::json_get<std::string>(*json, "task", "") == "masked_autoencoder", path.string(),
                   ": is no masked autoencoder: give the model.safetensors that hyperspectral_autoencoder wrote");
    config = dchag::MaskedAutoencoderConfig::from(*json);
    levels = dchag::json_array(dchag::json_at(*json, "tree"), "tree").size();
    if (auto const saved = find("statistics")) statistics = dchag::statistics_from(*saved);
  }
};
