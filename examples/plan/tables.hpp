#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <dchag/io/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "methods.hpp"

namespace planner {

using Methods = std::vector<std::unique_ptr<Method>>;

inline constexpr double gib = 1024.0 * 1024 * 1024;

inline std::string mesh_text(Way const& way) {
  return std::to_string(way.data()) + " x " + std::to_string(way.shape.shard) + " x " + std::to_string(way.shape.model);
}

inline dchag::Json way_json(std::optional<Way> const& way) {
  if (!way) return nullptr;
  dchag::Json::object_t members{{"ranks", way->ranks},
                                {"data", way->data()},
                                {"shard", way->shape.shard},
                                {"model", way->shape.model},
                                {"bytes", way->bytes},
                                {"seconds", way->seconds},
                                {"samples_per_second", way->samples},
                                {"fits", way->fits},
                                {"parts", way->parts}};
  if (!way->policies.empty()) members.emplace_back("policies", way->policies);
  return members;
}

/// A figure with three digits that count.
inline std::string figure(double value) {
  int const decimals = value > 0 ? std::clamp(2 - static_cast<int>(std::floor(std::log10(value))), 0, 6) : 0;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

/// A way as columns: mesh, memory, time, samples a second.
inline std::string columns(std::optional<Way> const& way) {
  if (!way) return "does not fit";
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "%14s %8s %8s %9s", mesh_text(*way).c_str(), figure(way->bytes / gib).c_str(),
                figure(way->seconds * 1e3).c_str(), figure(way->samples).c_str());
  return text.data();
}

/// Prints every method's fewest ranks and its fastest way on the scenario's; gives both as JSON.
inline dchag::Json print_scenario(Scenario const& s, Methods const& methods) {
  std::printf(
      "%lld channels, %lld x %lld pixels, patch %lld, D %lld, depth %lld, %lld heads; batches of %lld a model\n\n",
      static_cast<long long>(s.channels), static_cast<long long>(s.height), static_cast<long long>(s.width),
      static_cast<long long>(s.patch), static_cast<long long>(s.embed), static_cast<long long>(s.depth),
      static_cast<long long>(s.heads), static_cast<long long>(s.batch));
  std::printf("%-28s %7s | on %lld: data x shard x model, GiB, ms a step, samples a second\n", "", "fewest",
              static_cast<long long>(s.ranks));
  dchag::Json::array_t answers;
  for (auto const& method : methods) {
    auto const fewest = method->fewest(s);
    auto const fastest = method->over(s, static_cast<int>(s.ranks)).fastest;
    std::printf("%-28s %7s | %s\n", method->name().c_str(), fewest ? std::to_string(fewest->ranks).c_str() : "> 1024",
                columns(fastest).c_str());
    answers.push_back(dchag::Json::object_t{
        {"method", method->name()}, {"fewest", way_json(fewest)}, {"fastest", way_json(fastest)}});
  }
  return answers;
}

/// What the paper's artifact has of one of its configurations and methods on 16 GPUs: allocated GiB, and the samples a
/// second that follow from its TFLOP/s; zero: it has none.
struct Measured {
  double gib = 0, samples = 0;
};

/// A configuration of the paper, all of them on 16 GPUs that share a model, batches of 2.
struct PublishedRow {
  char const* name;
  Index embed, channels;
  std::array<Measured, 3> measured;  // plain tensor parallelism, L, C
};

inline std::array<PublishedRow, 4> published_rows() {
  return {{{"7B", 4096, 512, {{{59.24, 0.516}, {12.36, 1.638}, {16.43, 1.265}}}},
           {"15B", 6144, 256, {{{54.51, 0.309}, {}, {}}}},
           {"26B", 8192, 128, {{{53.15, 0.344}, {33.82, 1.206}, {38.82, 1.037}}}},
           {"26B", 8192, 256, {{{}, {34.57, 1.153}, {}}}}}};
}

/// A value, and in brackets what was measured of it.
inline std::string with_measured(double value, double measured, int decimals) {
  std::array<char, 48> text{};
  if (measured > 0) {
    std::snprintf(text.data(), text.size(), "%.*f (%5.*f)", decimals, value, decimals, measured);
  } else {
    std::snprintf(text.data(), text.size(), "%.*f        ", decimals, value);
  }
  return text.data();
}

/// Prints the paper's configurations: what its authors measured, what the profiles reproduce and what the library
/// plans.
inline dchag::Json print_published(Scenario scenario, Methods const& methods) {
  std::printf("128 x 256 pixels, patch 4, depth 32, batch 2; on 16 GPUs that share a model\n\n");
  std::printf("%-17s %-28s %7s %20s %24s\n", "", "", "fewest", "GiB (measured)", "samples/s (measured)");
  dchag::Json::array_t rows;
  for (PublishedRow const& row : published_rows()) {
    scenario.embed = row.embed;
    scenario.channels = row.channels;
    dchag::Json::array_t answers;
    for (std::size_t m = 0; m < methods.size(); ++m) {
      auto const& method = *methods[m];
      auto const fewest = method.fewest(scenario);
      auto const way = method.on(scenario, 16, {.model = 16});
      Measured const measured = m < row.measured.size() ? row.measured[m] : Measured{};
      std::string const title = m == 0 ? std::string(row.name) + ", " + std::to_string(row.channels) + " channels" : "";
      std::string memory, speed;
      if (way) memory = with_measured(way->bytes / gib, measured.gib, 1);
      if (way) speed = way->fits ? with_measured(way->samples, measured.samples, 2) : "does not fit";
      std::printf("%-17s %-28s %7s %20s %24s\n", title.c_str(), method.name().c_str(),
                  fewest ? std::to_string(fewest->ranks).c_str() : "> 1024", memory.c_str(), speed.c_str());
      dchag::Json::object_t answer{{"method", method.name()}, {"fewest", way_json(fewest)}, {"on_16", way_json(way)}};
      if (measured.gib > 0) {
        answer.emplace_back("measured", dchag::Json::object_t{{"allocated_gib", measured.gib},
                                                              {"samples_per_second", measured.samples}});
      }
      answers.push_back(std::move(answer));
    }
    rows.push_back(dchag::Json::object_t{
        {"model", row.name}, {"embed", row.embed}, {"channels", row.channels}, {"methods", std::move(answers)}});
  }
  return rows;
}

}  // namespace planner
