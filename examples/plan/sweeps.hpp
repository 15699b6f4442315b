#pragma once

#include <algorithm>
#include <dchag/io/plot.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tables.hpp"

namespace planner {

/// What a plot shows of each method along one axis.
struct Sweep {
  std::string title, x_label;
  std::vector<Index> x;
  std::function<Scenario(Index)> at;
};

inline Sweep over_ranks(Scenario const& scenario) {
  Sweep sweep{"D " + std::to_string(scenario.embed) + ", " + std::to_string(scenario.channels) + " channels",
              "GPUs",
              {},
              [scenario](Index ranks) {
                Scenario changed = scenario;
                changed.ranks = ranks;
                return changed;
              }};
  for (Index ranks = 1; ranks <= 8192; ranks *= 2) sweep.x.push_back(ranks);
  sweep.x.push_back(10240);
  return sweep;
}

inline Sweep over_channels(Scenario const& scenario) {
  Sweep sweep{"D " + std::to_string(scenario.embed) + ", " + std::to_string(scenario.ranks) + " GPUs",
              "channels",
              {},
              [scenario](Index channels) {
                Scenario changed = scenario;
                changed.channels = channels;
                return changed;
              }};
  for (Index channels = 16; channels <= 4096; channels *= 2) sweep.x.push_back(channels);
  return sweep;
}

/// Draws a sweep's two plots below one another: the least memory of a GPU over all meshes, and the most samples a
/// second of those that fit. Adds its figures to points.
inline dchag::Picture draw(Sweep const& sweep, Methods const& methods, double memory, dchag::Json::array_t& points) {
  using dchag::Scale;
  dchag::Plot bytes(sweep.title, "", "GiB a GPU, least"), speed("", sweep.x_label, "samples a second, most");
  bytes.scales(Scale::logarithmic, Scale::logarithmic);
  speed.scales(Scale::logarithmic, Scale::logarithmic);
  for (std::size_t m = 0; m < methods.size(); ++m) {
    dchag::Curve least{methods[m]->name(), {}, {}, dchag::curve_colour(m)}, most{"", {}, {}, dchag::curve_colour(m)};
    for (Index const x : sweep.x) {
      Scenario const at = sweep.at(x);
      int const ranks = static_cast<int>(at.ranks);
      auto const [smallest, fastest] = methods[m]->over(at, ranks);
      least.x.push_back(static_cast<double>(x));
      least.y.push_back(smallest ? smallest->bytes / gib : 0);
      most.x.push_back(static_cast<double>(x));
      most.y.push_back(fastest ? fastest->samples : 0);
      dchag::Json::object_t point{{"method", methods[m]->name()}, {"ranks", at.ranks}, {"channels", at.channels}};
      if (smallest) point.emplace_back("least_gib", least.y.back());
      if (fastest) point.emplace_back("samples_per_second", most.y.back());
      points.push_back(std::move(point));
    }
    bytes.add(std::move(least));
    speed.add(std::move(most));
  }
  double const first = static_cast<double>(sweep.x.front()), last = static_cast<double>(sweep.x.back());
  bytes.add({"memory of a GPU", {first, last}, {memory / gib, memory / gib}, dchag::grey, true, 1});
  dchag::Picture picture(900, 1000);
  picture.blit(0, 0, bytes.draw(900, 520));
  picture.blit(0, 520, speed.draw(900, 480));
  return picture;
}

/// Writes path.png: both sweeps beside one another. Gives their figures.
inline dchag::Json draw_sweeps(Scenario const& scenario, Methods const& methods, double memory,
                               std::filesystem::path const& path) {
  dchag::Json::array_t points;
  dchag::Picture both(1800, 1000);
  both.blit(0, 0, draw(over_ranks(scenario), methods, memory, points));
  both.blit(900, 0, draw(over_channels(scenario), methods, memory, points));
  dchag::write_png(path, both);
  return points;
}

}  // namespace planner
