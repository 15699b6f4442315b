#pragma once

#include <cstdio>
#include <dchag/io/atomic_file.hpp>
#include <dchag/io/json.hpp>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ridge.hpp"
#include "training.hpp"

namespace sea {

/// The scores of one way to forecast.
struct Method {
  std::string name;
  Scores validation, test;
};

/// What forecasts are held against, and the model's own. The ridge's penalty is chosen on the validation part.
template <class Model>
std::vector<Method> methods_of(Training<Model>& training, Departures const& departures) {
  auto const validation = starts_of(Part::validation), test = starts_of(Part::test);
  std::vector<Method> methods;
  auto const add = [&](char const* name, auto const& forecast) {
    auto const of = [&](std::vector<std::size_t> const& starts) {
      return scores_of(departures, starts, [&](std::size_t i, std::size_t lead, std::size_t cell) {
        return forecast(starts[i], lead, cell);
      });
    };
    methods.push_back({name, of(validation), of(test)});
  };
  add("climatology", [](std::size_t, std::size_t, std::size_t) { return 0.0; });
  add("persistence", [&](std::size_t start, std::size_t, std::size_t cell) { return departures(start, cell); });
  add("damped persistence", [&](std::size_t start, std::size_t lead, std::size_t cell) {
    return departures.damping(lead, cell) * departures(start, cell);
  });
  std::vector<Method> const before = methods;
  for (double const penalty : {0.001, 0.01, 0.03, 0.1, 0.3, 1.0}) {
    add("pooled ridge", PooledRidge(departures, penalty));
    Method const tried = methods.back();
    methods.pop_back();
    if (methods.size() == before.size())
      methods.push_back(tried);
    else if (over_leads(tried.validation).mse() < over_leads(methods.back().validation).mse())
      methods.back() = tried;
  }
  methods.push_back({"the model", training.forecasts().scores(validation), training.forecasts().scores(test)});
  return methods;
}

inline void print(std::vector<Method> const& methods) {
  std::printf(
      "\nRoot mean square error of forecasts of one to six months ahead, K, over the sea cells weighted by area:\n");
  std::printf(
      "67 start months 2007-12 to 2013-06 that nothing was fitted to or chosen by. The validation part chose the\n");
  std::printf("step of the model and the penalty of the ridge.\n");
  std::printf("%-20s", "");
  for (std::size_t lead = 1; lead <= leads; ++lead) std::printf(" %6zu", lead);
  std::printf(" %7s %11s %6s %12s\n", "all", "validation", "skill", "correlation");
  auto const& damped = methods[2];
  for (auto const& method : methods) {
    std::printf("  %-18s", method.name.c_str());
    for (auto const& lead : method.test) std::printf(" %6.4f", lead.rmse());
    auto const all = over_leads(method.test);
    std::printf(" %7.4f %11.4f %6.3f %12.3f\n", all.rmse(), over_leads(method.validation).rmse(),
                dchag::skill(all, over_leads(damped.test)), all.predicted > 0 ? all.anomaly_correlation() : 0.0);
  }
  std::printf("Skill: 1 - mean square error / that of damped persistence. Correlation: of departures, uncentred.\n\n");
}

inline dchag::Json json(Scores const& scores) {
  dchag::Json::array_t by_lead, correlations;
  for (auto const& lead : scores) {
    by_lead.emplace_back(lead.rmse());
    correlations.emplace_back(dchag::JsonLog::number(lead.anomaly_correlation()));
  }
  return {
      {"rmse", over_leads(scores).rmse()}, {"rmse_by_lead", by_lead}, {"anomaly_correlation_by_lead", correlations}};
}

/// Prints how well the ways to forecast do, and writes report.json.
template <class Model>
void report(Training<Model>& training, std::vector<Method> const& methods, std::filesystem::path const& out) {
  print(methods);
  dchag::Json table;
  for (auto const& method : methods)
    table[method.name] = {{"test", json(method.test)}, {"validation", json(method.validation)}};
  auto const parameters = training.model().parameters().count();
  std::printf("Training: %.0f s, the best step was %lld; %lld parameters, workspace %.1f MiB.\n", training.seconds(),
              static_cast<long long>(training.best_step()), static_cast<long long>(parameters),
              static_cast<double>(training.workspace_bytes()) / (1 << 20));
  std::string const text = dchag::dump_json({{"forecasts", table},
                                             {"seconds", training.seconds()},
                                             {"best_step", training.best_step()},
                                             {"parameters", parameters}}) +
                           "\n";
  dchag::AtomicFile file(out / "report.json");
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace sea
