#include <doctest/doctest.h>

#include <atomic>

#include "io/scratch.hpp"
#include "models/cases.hpp"

using namespace dchag;
using namespace dchag::tests;

namespace {

std::atomic<int> allocations = 0;

struct ForecastData {
  Kokkos::View<double*, tests::Space> images, target, lead;
  ForecasterConfig config = forecaster_config();
  Index count;

  explicit ForecastData(Index count)
      : images(numbers(count * 4 * 48, 1)), target(numbers(count * 2 * 48, 2)), lead(numbers(count, 3)), count(count) {}
  TinyForecaster::Batch batch() const { return batch(0, count); }
  /// `size` images from the first-th on.
  TinyForecaster::Batch batch(Index first, Index size) const {
    return {
        reshape<double const****, tests::Space>(static_cast<double const*>(images.data()) + first * 192, size, 4, 6, 8),
        reshape<double const****, tests::Space>(static_cast<double const*>(target.data()) + first * 96, size, 2, 6, 8),
        reshape<double const*, tests::Space>(static_cast<double const*>(lead.data()) + first, size)};
  }
};

}  // namespace

TEST_CASE("training lowers a forecaster's loss, and allocates nothing") {
  ForecastData const data(3);
  TinyForecaster model(Mesh(), data.config, {.seed = 1});
  Trainer trainer(model, AdamW{.learning_rate = 5e-3}, WarmupCosine{5, 60});
  double const before = trainer.evaluate(data.batch());
  trainer.step(data.batch());
  Kokkos::Tools::Experimental::set_allocate_data_callback(
      [](Kokkos_Profiling_SpaceHandle, char const*, void const*, std::uint64_t) { ++allocations; });
  allocations = 0;
  for (int step = 1; step < 60; ++step) trainer.step(data.batch());
  CHECK(allocations == 0);
  Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr);
  CHECK(trainer.evaluate(data.batch()) < 0.5 * before);
}

TEST_CASE("a forecaster's gradient of two batches, by their shares, is that of both together") {
  ForecastData const data(3);
  TinyForecaster model(Mesh(), data.config, {.seed = 1});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  double const whole = model.gradients(context, data.batch(), 1.0);
  CHECK(model.evaluate(context, data.batch()) == doctest::Approx(whole).epsilon(1e-13));
  auto const expected = gradients_of(model);
  model.parameters().zero_gradients(context);
  double const first = model.gradients(context, data.batch(0, 1), 1.0 / 3),
               rest = model.gradients(context, data.batch(1, 2), 2.0 / 3);
  CHECK((first + 2 * rest) / 3 == doctest::Approx(whole).epsilon(1e-12));
  CHECK(relative_difference(expected, gradients_of(model)) <= 1e-12);
}

TEST_CASE("a forecaster without storage is planned, to the byte") {
  ForecastData const data(3);
  TinyForecaster planned(Mesh(), data.config, {.storage = false}), model(Mesh(), data.config);
  CHECK(!planned.parameters().allocated());
  Workspace<tests::Space> measuring;
  CHECK(planned.gradients(Context<tests::Space>(measuring), data.batch(), 1.0) == 0.0);
  Workspace<tests::Space> workspace(measuring.peak());
  model.gradients(Context<tests::Space>(workspace), data.batch(), 1.0);
  CHECK(workspace.peak() == measuring.peak());
  CHECK(workspace.used() == 0);
}

TEST_CASE("a forecaster saved and loaded is the same, and one of another configuration is refused by the field") {
  ForecastData const data(2);
  tests::Scratch const scratch;
  auto const file = scratch / "model.safetensors";
  TinyForecaster model(Mesh(), data.config, {.seed = 1}), other(Mesh(), data.config, {.seed = 2});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  double const loss = model.evaluate(context, data.batch());
  CHECK(other.evaluate(context, data.batch()) != loss);
  save(model, file);
  load(other, file);
  CHECK(other.evaluate(context, data.batch()) == loss);
  auto deeper = data.config;
  deeper.decoder_depth = 2;
  TinyForecaster different(Mesh(), deeper, {.seed = 3});
  double const before = different.evaluate(context, data.batch());
  CHECK(message([&] { load(different, file); }).find("decoder_depth") != std::string::npos);
  CHECK(different.evaluate(context, data.batch()) == before);
}

TEST_CASE("a forecast needs no target, and depends on the lead time") {
  ForecastData const data(2);
  TinyForecaster model(Mesh(), data.config, {.seed = 1});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  Kokkos::View<double*, tests::Space> const first("first", 2 * 2 * 48), second("second", 2 * 2 * 48);
  auto batch = data.batch();
  batch.target = {};
  model.predict(context, batch, reshape<double****, tests::Space>(first.data(), 2, 2, 6, 8));
  Kokkos::deep_copy(data.lead, 3.0);
  model.predict(context, batch, reshape<double****, tests::Space>(second.data(), 2, 2, 6, 8));
  auto const a = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), first),
             b = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), second);
  double difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference = std::max(difference, std::abs(a(i) - b(i)));
  CHECK(difference > 1e-6);
}

TEST_CASE("several lead times of an image are forecast, and trained on, as one by one") {
  using Recomputing = Forecaster<Precision<double>, dchag::Space<tests::Space>, Recompute<Everything>>;
  Index const images = 3, leads = 4, forecasts = images * leads, field = 2 * 48;
  auto const data = numbers(images * 4 * 48, 1), target = numbers(forecasts * field, 2), lead = numbers(forecasts, 3);
  auto const check = [&]<class Model>(std::type_identity<Model>) {
    Model model(Mesh(), forecaster_config(), {.seed = 1});
    Workspace<tests::Space> workspace(std::size_t{16} << 20);
    Context<tests::Space> const context(workspace);
    Kokkos::View<double*, tests::Space> const together("together", forecasts * field), alone("alone", images * field),
        targets("targets", images * field), times("times", images);
    auto const view = [](auto const& flat, Index count) {
      return reshape<double const****, tests::Space>(static_cast<double const*>(flat.data()), count, 2, 6, 8);
    };
    typename Model::Batch batch{
        reshape<double const****, tests::Space>(static_cast<double const*>(data.data()), images, 4, 6, 8),
        view(target, forecasts),
        reshape<double const*, tests::Space>(static_cast<double const*>(lead.data()), forecasts)};
    double const loss = model.gradients(context, batch, 1.0);
    CHECK(model.evaluate(context, batch) == doctest::Approx(loss).epsilon(1e-13));
    CHECK(model.front_end().tiling().rows == images * 12);
    model.predict(context, batch, reshape<double****, tests::Space>(together.data(), forecasts, 2, 6, 8));
    auto const expected = gradients_of(model);
    model.parameters().zero_gradients(context);
    double sum = 0;
    for (Index l = 0; l < leads; ++l) {
      for (Index b = 0; b < images; ++b) {
        Index const from = b * leads + l;
        Kokkos::deep_copy(Kokkos::subview(targets, std::pair(b * field, (b + 1) * field)),
                          Kokkos::subview(target, std::pair(from * field, (from + 1) * field)));
        Kokkos::deep_copy(Kokkos::subview(times, b), Kokkos::subview(lead, from));
      }
      batch.target = view(targets, images);
      batch.lead_time = reshape<double const*, tests::Space>(static_cast<double const*>(times.data()), images);
      sum += model.gradients(context, batch, 1.0 / leads) / leads;
      model.predict(context, batch, reshape<double****, tests::Space>(alone.data(), images, 2, 6, 8));
      auto const one = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), alone),
                 all = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), together);
      double difference = 0;
      for (Index i = 0; i < images * field; ++i)
        difference = std::max(difference, std::abs(one(i) - all((i / field * leads + l) * field + i % field)));
      CHECK(difference < 1e-12);
    }
    CHECK(sum == doctest::Approx(loss).epsilon(1e-12));
    auto const actual = gradients_of(model);
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      largest = std::max(largest, std::abs(expected[i]));
      difference = std::max(difference, std::abs(actual[i] - expected[i]));
    }
    CHECK(difference <= 1e-12 * largest);
  };
  check(std::type_identity<TinyForecaster>());
  check(std::type_identity<Recomputing>());
}

TEST_CASE("targets of weight zero change neither loss nor gradients of a forecaster, whatever they are") {
  ForecastData const data(3);
  TinyForecaster model(Mesh(), data.config, {.seed = 1});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  double const whole = model.evaluate(context, data.batch());
  Kokkos::View<double*, tests::Space> const sea("sea", 48);
  auto batch = data.batch();
  batch.weight = reshape<double const****, tests::Space>(static_cast<double const*>(sea.data()), 1, 1, 6, 8);
  Kokkos::deep_copy(sea, 0.5);
  CHECK(model.evaluate(context, batch) == doctest::Approx(whole).epsilon(1e-14));
  auto const mask = Kokkos::create_mirror_view(sea);
  for (int i = 0; i < 48; ++i) mask(i) = i % 3 == 0 ? 0 : 1;
  Kokkos::deep_copy(sea, mask);
  double const loss = model.gradients(context, batch, 1.0);
  CHECK(model.evaluate(context, batch) == doctest::Approx(loss).epsilon(1e-14));
  CHECK(std::abs(loss - whole) > 1e-6);
  auto const expected = gradients_of(model);
  auto const target = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), data.target);
  for (int i = 0; i < 3 * 2 * 48; ++i)
    if (i % 48 % 3 == 0) target(i) = i % 2 == 0 ? std::nan("") : 9.97e36;
  Kokkos::deep_copy(data.target, target);
  model.parameters().zero_gradients(context);
  CHECK(model.gradients(context, batch, 1.0) == loss);
  CHECK(gradients_of(model) == expected);
  Workspace<tests::Space> measuring;
  model.gradients(Context<tests::Space>(measuring), batch, 1.0);
  CHECK(workspace.peak() == measuring.peak());
  batch.weight = reshape<double const****, tests::Space>(static_cast<double const*>(sea.data()), 1, 3, 4, 4);
  CHECK(message([&] { model.gradients(context, batch, 1.0); }).find("weight is [1, 3, 4, 4], expected [1, 2, 6, 8]") !=
        std::string::npos);
}

TEST_CASE("a forecaster's rows count as the grid says, which its configuration keeps") {
  ForecastData const data(2);
  auto loss = [&](auto change) {
    auto config = data.config;
    change(config);
    config = ForecasterConfig::from(config.json());
    TinyForecaster model(Mesh(), config, {.seed = 1});
    Workspace<tests::Space> workspace(std::size_t{8} << 20);
    return model.evaluate(Context<tests::Space>(workspace), data.batch());
  };
  double const regular = loss([](auto&) {});
  CHECK(loss([](auto& c) { c.latitudes = {75, 45, 15, -15, -45, -75}; }) == doctest::Approx(regular).epsilon(1e-13));
  double const gaussian = loss([](auto& c) { c.row_weights = {0.17, 0.36, 0.47, 0.47, 0.36, 0.17}; });
  CHECK(std::abs(gaussian - regular) > 1e-6);
  CHECK(loss([](auto& c) { c.row_weights = {1.7, 3.6, 4.7, 4.7, 3.6, 1.7}; }) ==
        doctest::Approx(gaussian).epsilon(1e-13));
  auto const refused = [&](auto change) { return message([&] { loss(change); }); };
  CHECK(refused([](auto& c) {
          c.latitudes = {1, 2};
        }) == "latitudes has 2 values where height = 6: give one for each row");
  CHECK(refused([](auto& c) { c.row_weights = {1, 1, 1, 1, 1, 1, 1}; }) ==
        "row_weights has 7 values where height = 6: give one for each row");
  CHECK(refused([](auto& c) { c.latitudes = {75, 45, 15, -15, -45, -95}; }).find("latitudes[5] = -95") !=
        std::string::npos);
  CHECK(refused([](auto& c) { c.latitudes = c.row_weights = {1, 1, 1, 1, 1, 1}; }).find("give one of them") !=
        std::string::npos);
}

TEST_CASE("a forecaster with dropout that is trained on from a checkpoint is the one that was never interrupted") {
  ForecastData const data(3);
  tests::Scratch const scratch;
  auto const file = scratch / "model.safetensors";
  auto config = data.config;
  config.dropout = 0.3;
  config = ForecasterConfig::from(config.json());
  TinyForecaster model(Mesh(), config, {.seed = 1}), resumed(Mesh(), config, {.seed = 1}),
      plain(Mesh(), data.config, {.seed = 1});
  TrainerOptions const options{.accumulate = 2};
  AdamW const adamw{.learning_rate = 1e-2};
  Trainer trainer(model, adamw, ConstantRate(), options), later(resumed, adamw, ConstantRate(), options),
      other(plain, adamw, ConstantRate(), options);
  CHECK(trainer.evaluate(data.batch()) == other.evaluate(data.batch()));
  std::vector<double> losses;
  for (int step = 0; step < 4; ++step) {
    losses.push_back(trainer.step(data.batch(0, 2)));
    losses.push_back(trainer.step(data.batch(0, 2)));
    if (step == 1) save(model, trainer, file);
  }
  CHECK(other.step(data.batch(0, 2)) != losses[0]);
  CHECK(losses[1] != losses[0]);  // the mean with another batch of the same images, of which other elements are dropped
  load(resumed, later, file);
  for (std::size_t step = 4; step < losses.size(); ++step) CHECK(later.step(data.batch(0, 2)) == losses[step]);
  CHECK(later.evaluate(data.batch()) == trainer.evaluate(data.batch()));
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  double const loss = model.gradients(context, data.batch(), 1.0);
  CHECK(model.gradients(context, data.batch(), 1.0) == loss);
  model.begin_batch(11, 0);
  CHECK(model.gradients(context, data.batch(), 1.0) != loss);
  CHECK(message([&] { load(plain, file); }).find("dropout is 0.3 in the file and absent in the model") !=
        std::string::npos);
}

TEST_CASE("a forecaster's configuration comes back from JSON, and what is missing or wrong in it is named") {
  ForecasterConfig const config = forecaster_config();
  TinyForecaster const model(Mesh(), config, {.storage = false});
  Json const json = parse_json(model.config_json(), "config");
  CHECK(ForecasterConfig::from(json).json() == config.json());
  CHECK(json_get<std::string>(json_array(json_at(json, "tree"), "tree").at(0), "unit") == "cross_attention");
  CHECK(message([&] { ForecasterConfig::from(parse_json(R"({"channels": 4})", "x")); }).find("out_channels") !=
        std::string::npos);
  CHECK(message([&] { ForecasterConfig::from(parse_json(R"({"channels": "many"})", "x")); }).find("channels") !=
        std::string::npos);
}

TEST_CASE("a forecaster refuses sizes and batches that do not fit") {
  auto const refused = [](auto change) {
    auto config = forecaster_config();
    change(config);
    return message([&] { TinyForecaster model(Mesh(), config, {.storage = false}); });
  };
  CHECK(refused([](auto&) {}) == "");
  CHECK(refused([](auto& c) { c.out_channels = 0; }).find("out_channels = 0") != std::string::npos);
  CHECK(refused([](auto& c) { c.decoder_depth = -1; }).find("decoder_depth = -1") != std::string::npos);
  CHECK(refused([](auto& c) { c.dropout = 1; }).find("dropout = 1:") != std::string::npos);
  CHECK(refused([](auto& c) { c.dropout = -0.1; }).find("dropout = -0.1:") != std::string::npos);
  CHECK(refused([](auto& c) { c.dropout = std::nan(""); }).find("dropout = nan:") != std::string::npos);
  CHECK(refused([](auto& c) { c.patch = 5; }).find("patch = 5") != std::string::npos);
  ForecastData const data(2);
  TinyForecaster model(Mesh(), data.config);
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  auto batch = data.batch();
  batch.lead_time = reshape<double const*, tests::Space>(batch.lead_time.data(), 1);
  CHECK(message([&] { model.gradients(context, batch, 1.0); }).find("lead_time has 1 values for 2 images") !=
        std::string::npos);
  batch = data.batch();
  batch.target = reshape<double const****, tests::Space>(batch.target.data(), 2, 1, 6, 16);
  CHECK(message([&] { model.gradients(context, batch, 1.0); }).find("target is [2, 1, 6, 16], expected [2, 2, 6, 8]") !=
        std::string::npos);
  CHECK(message([&] { model.evaluate(context, batch); }).find("target is [2, 1, 6, 16]") != std::string::npos);
  batch = data.batch();
  Kokkos::View<double*, tests::Space> const out("out", 2 * 2 * 48);
  CHECK(message([&] {
          model.predict(context, batch, reshape<double****, tests::Space>(out.data(), 1, 2, 6, 8));
        }).find("prediction is [1, 2, 6, 8], expected [2, 2, 6, 8]") != std::string::npos);
  CHECK(message([&] { model.evaluate(context, {}); }).find("target is [0, 0, 0, 0], expected [1, 2, 6, 8]") !=
        std::string::npos);
  CHECK(workspace.used() == 0);
}
