// Trains a forecaster of monthly sea-surface temperature one to six months ahead, and holds it against climatology,
// persistence, damped persistence and a linear model; or forecasts with a saved one.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <dchag/dchag.hpp>
#include <filesystem>

#include "options.hpp"
#include "pictures.hpp"
#include "report.hpp"
#include "training.hpp"

namespace {

using namespace sea;

using Model = dchag::Forecaster<dchag::Tree<dchag::Linear<1>>, dchag::Parallel<dchag::Tensor, dchag::Unsharded>>;

Fields fields_of(Options const& o) { return o.synthetic ? Fields::synthetic() : Fields::read(o.data); }

/// The month YYYY-MM as a number; throws where forecasts cannot start from it.
std::size_t month_of(std::string const& text, Fields const& fields) {
  int year = 0, month = 0;
  auto const* const end = text.data() + text.size();
  auto const [dash, code] = std::from_chars(text.data(), end, year);
  bool good = code == std::errc() && dash != end && *dash == '-';
  if (good) {
    auto const [last, second] = std::from_chars(dash + 1, end, month);
    good = second == std::errc() && last == end && month >= 1 && month <= 12;
  }
  require(good, "--from ", text, ": give a month as YYYY-MM");
  std::size_t const number = fields.number(year, month), first = lags - 1, last = fields.months().size() - 1;
  require(number >= first && number <= last, "--from ", text, ": give a month from ", month_text(fields, first), " to ",
          month_text(fields, last), ", so that it and the ", first, " before it are known");
  return number;
}

/// Of the test part, the start month whose forecast has the median error: one that stands for the others.
std::size_t median_start(Departures const& departures, Forecasts<Model>& forecasts) {
  auto const starts = starts_of(Part::test);
  auto const all = forecasts.predict(starts);
  std::vector<std::pair<double, std::size_t>> errors;
  for (std::size_t s = 0; s < starts.size(); ++s) {
    auto const scores = scores_of(departures, {starts[s]}, [&](std::size_t, std::size_t lead, std::size_t cell) {
      return all[(s * leads + lead) * Fields::cells + cell];
    });
    errors.emplace_back(over_leads(scores).mse(), starts[s]);
  }
  std::sort(errors.begin(), errors.end());
  return errors[errors.size() / 2].second;
}

void train(dchag::Environment& environment, Options const& options) {
  Fields const fields = fields_of(options);
  Departures const departures(fields);
  Inputs const inputs(departures);
  dchag::Mesh const mesh(environment.world(), {.model = options.model_ranks});
  Training<Model> training(mesh, options, departures, inputs);
  training.run();
  auto const methods = methods_of(training, departures);  // the model ranks forecast together
  std::size_t const start = median_start(departures, training.forecasts());
  auto const forecast = training.forecasts().predict({start});
  if (environment.world().rank() != 0) return;
  std::filesystem::path const out(options.out);
  report(training, methods, out);
  Maps(departures, forecast, start).draw(out / "weather_forecast.png");
  std::printf(
      "%s: weather_forecast.png (from %s, the median error of the test part), report.json, log.jsonl, "
      "model.safetensors\n",
      out.c_str(), month_text(fields, start).c_str());
}

void forecast(dchag::Environment& environment, Options const& options) {
  Fields const fields = fields_of(options);
  SavedModel const saved(options.forecast);
  std::size_t const start = month_of(options.from, fields);
  Departures const departures = saved.departures(fields);
  Inputs const inputs = saved.inputs(departures);
  dchag::Mesh const mesh(environment.world(), {.model = options.model_ranks});
  Model model(mesh, saved.config());
  dchag::load(model, options.forecast);
  Forecasts<Model> forecasts(model, departures, inputs);
  forecasts.set_scale(saved.scale());
  auto const answer = forecasts.predict({start});
  if (environment.world().rank() != 0) return;
  if (start + leads < fields.months().size()) {
    auto const scores = scores_of(departures, {start}, [&](std::size_t, std::size_t lead, std::size_t cell) {
      return answer[lead * Fields::cells + cell];
    });
    for (std::size_t lead = 0; lead < leads; ++lead)
      std::printf("%s: error %.4f K, correlation %.3f\n", month_text(fields, start + lead + 1).c_str(),
                  scores[lead].rmse(), scores[lead].anomaly_correlation());
  }
  auto const path = std::filesystem::path(options.out) / ("forecast_" + month_text(fields, start) + ".png");
  Maps(departures, answer, start).draw(path);
  std::printf("%s\n", path.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Forecasts of monthly sea-surface temperature, 1979 to 2013, on a Gaussian grid of 48 x 96 cells.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.quick) make_quick(app, options);
  return dchag::run(argc, argv, [&](dchag::Environment& environment) {
    if (environment.world().rank() == 0) {  // alone, so that what all ranks would refuse is reported once
      check(options, app.remaining(), environment.world().size());
      std::error_code code;
      std::filesystem::create_directories(options.out, code);
      require(!code, "--out ", options.out, ": ", code.message(), ": give a folder that can be made");
      std::printf("%s\n", environment.report().c_str());
    }
    environment.world().barrier();
    if (options.forecast.empty())
      train(environment, options);
    else
      forecast(environment, options);
  });
}
