#include <doctest/doctest.h>

#include <cmath>
#include <dchag/channels/channel_dropout.hpp>
#include <limits>

#include "io/scratch.hpp"
#include "models/cases.hpp"

using namespace dchag;
using namespace dchag::tests;

namespace {

using Flags = std::vector<unsigned char>;
using FlatAutoencoder = MaskedAutoencoder<Precision<double>, dchag::Space<tests::Space>>;
using PresentView = Kokkos::View<unsigned char**, Kokkos::LayoutRight, tests::Space>;

PresentView on_device(Flags const& flags, Index images, Index channels) {
  PresentView const view("present", static_cast<std::size_t>(images), static_cast<std::size_t>(channels));
  Kokkos::deep_copy(view, Kokkos::View<unsigned char const**, Kokkos::LayoutRight, Kokkos::HostSpace>(
                              flags.data(), view.extent(0), view.extent(1)));
  return view;
}

std::vector<double> host(Kokkos::View<double*, tests::Space> const& view) {
  auto const copy = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), view);
  return {copy.data(), copy.data() + copy.size()};
}
Kokkos::View<double*, tests::Space> device(std::vector<double> const& numbers) {
  Kokkos::View<double*, tests::Space> const view("numbers", numbers.size());
  Kokkos::deep_copy(view, Kokkos::View<double const*, Kokkos::HostSpace>(numbers.data(), numbers.size()));
  return view;
}

/// Of a model's parameter the elements that a model of fewer channels has: index by index in that model's order. A
/// tensor [outer, channels, inner] loses the channels that are not kept.
std::vector<std::size_t> kept_elements(Index size, Index outer, Index channels, std::vector<Index> const& kept) {
  std::vector<std::size_t> elements;
  Index const inner = size / outer / channels;
  for (Index o = 0; o < outer; ++o)
    for (Index c : kept)
      for (Index i = 0; i < inner; ++i) elements.push_back(static_cast<std::size_t>((o * channels + c) * inner + i));
  return elements;
}

/// Elements of the whole model's parameter in the order of the small one's.
template <class Parameter>
std::vector<std::size_t> elements_of(Parameter const& whole, Parameter const& small, Index channels,
                                     std::vector<Index> const& kept, Index pixels) {
  if (whole.size() == small.size()) return kept_elements(whole.size(), 1, 1, {0});
  return kept_elements(whole.size(), whole.name.starts_with("decoder_pred") ? pixels : 1, channels, kept);
}

/// Copies what the small model has from the whole one.
template <class Model>
void copy_parameters(Model& whole, Model& small, std::vector<Index> const& kept) {
  for (std::size_t p = 0; p < whole.parameters().all().size(); ++p) {
    auto const &from = whole.parameters().all()[p], &to = small.parameters().all()[p];
    REQUIRE(from.name == to.name);
    auto const values = host(from.template value<double*>(from.size()));
    std::vector<double> some;
    for (std::size_t at : elements_of(from, to, whole.config().channels, kept, whole.grid().pixels()))
      some.push_back(values[at]);
    Kokkos::deep_copy(to.template value<double*>(to.size()), device(some));
  }
}

/// Holds the loss and gradients of batches in which the same channels are missing from all images against those of a
/// model that never heard of them.
template <class Model, class Batch>
void check_subset(Model& whole, Model& small, Batch const& all, Batch const& some, std::vector<Index> const& kept) {
  Workspace<tests::Space> workspace(std::size_t{32} << 20);
  Context<tests::Space> const context(workspace);
  copy_parameters(whole, small, kept);
  double const expected = small.gradients(context, some, 1.0);
  CHECK(whole.gradients(context, all, 1.0) == doctest::Approx(expected).epsilon(1e-12));
  CHECK(whole.evaluate(context, all) == doctest::Approx(expected).epsilon(1e-12));
  double largest = 0, difference = 0;
  for (std::size_t p = 0; p < whole.parameters().all().size(); ++p) {
    auto const &from = whole.parameters().all()[p], &to = small.parameters().all()[p];
    CAPTURE(from.name);
    auto gradients = host(from.template gradient<double*>(from.size()));
    auto const others = host(to.template gradient<double*>(to.size()));
    auto const elements = elements_of(from, to, whole.config().channels, kept, whole.grid().pixels());
    for (std::size_t i = 0; i < elements.size(); ++i) {
      largest = std::fmax(largest, std::fabs(others[i]));
      difference = std::fmax(difference, std::fabs(gradients[elements[i]] - others[i]));
      gradients[elements[i]] = 0;
    }
    for (double left : gradients) CHECK(left == 0.0);
  }
  CHECK(largest > 0);
  CHECK(difference <= 1e-11 * largest);
}

/// The images [count, channels, plane] of some channels; and the same with NaN where channels are not kept.
std::vector<double> some_channels(std::vector<double>& images, Index count, Index channels, Index plane,
                                  std::vector<Index> const& kept) {
  std::vector<double> some, all(images.size(), std::numeric_limits<double>::quiet_NaN());
  for (Index b = 0; b < count; ++b)
    for (Index c : kept)
      for (Index i = 0; i < plane; ++i) {
        auto const at = static_cast<std::size_t>((b * channels + c) * plane + i);
        some.push_back(images[at]);
        all[at] = images[at];
      }
  images = all;
  return some;
}
Flags flags_of(std::vector<Index> const& kept, Index count, Index channels) {
  Flags flags(static_cast<std::size_t>(count * channels), 0);
  for (Index b = 0; b < count; ++b)
    for (Index c : kept) flags[static_cast<std::size_t>(b * channels + c)] = 1;
  return flags;
}

}  // namespace

TEST_CASE("a forecaster without some of its channels is the forecaster of the others") {
  std::vector<Index> const kept{0, 2, 3};
  Index const count = 3;
  auto config = forecaster_config();
  TinyForecaster whole(Mesh(), config, {.seed = 1});
  config.channels = 3;
  TinyForecaster small(Mesh(), config, {.seed = 2});
  auto images = host(numbers(count * 4 * 48, 1));
  auto const few = device(some_channels(images, count, 4, 48, kept)), all = device(images);
  auto const target = numbers(count * 2 * 48, 2), lead = numbers(count, 3);
  auto const present = on_device(flags_of(kept, count, 4), count, 4);
  auto const batch = [&](auto const& view, Index channels) {
    return TinyForecaster::Batch{
        reshape<double const****, tests::Space>(static_cast<double const*>(view.data()), count, channels, 6, 8),
        reshape<double const****, tests::Space>(static_cast<double const*>(target.data()), count, 2, 6, 8),
        reshape<double const*, tests::Space>(static_cast<double const*>(lead.data()), count)};
  };
  auto lacking = batch(all, 4);
  lacking.present = present;
  check_subset(whole, small, lacking, batch(few, 3), kept);
}

TEST_CASE("an autoencoder without some of its channels is, loss and all, the autoencoder of the others") {
  std::vector<Index> const kept{1, 4};
  Index const count = 3;
  auto config = autoencoder_config();
  FlatAutoencoder whole(Mesh(), config, {.seed = 1});
  AutoencoderData const data(config, count, 1);
  config.channels = 2;
  FlatAutoencoder small(Mesh(), config, {.seed = 2});
  auto images = host(data.images);
  auto const few = device(some_channels(images, count, 5, 48, kept)), all = device(images);
  auto const present = on_device(flags_of(kept, count, 5), count, 5);
  auto const batch = [&](auto const& view, Index channels) {
    auto result = data.batch<FlatAutoencoder>(0, count);
    result.images =
        reshape<double const****, tests::Space>(static_cast<double const*>(view.data()), count, channels, 6, 8);
    return result;
  };
  auto lacking = batch(all, 5);
  lacking.present = present;
  check_subset(whole, small, lacking, batch(few, 2), kept);

  Workspace<tests::Space> workspace(std::size_t{32} << 20);
  Context<tests::Space> const context(workspace);
  Kokkos::View<double*, tests::Space> const features("features", 2 * static_cast<std::size_t>(count * 12 * 12));
  auto const out = [&](Index half) {
    return reshape<double***, tests::Space>(features.data() + half * count * 144, count, 12, 12);
  };
  whole.features(context, lacking.images, out(0), present);
  small.features(context, batch(few, 2).images, out(1));
  auto const numbers = host(features);
  for (std::size_t i = 0; i < numbers.size() / 2; ++i)
    CHECK(numbers[i] == doctest::Approx(numbers[numbers.size() / 2 + i]).epsilon(1e-12));
}

TEST_CASE("of images that lack different channels each counts the same, alone or in a batch") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 2, 1);
  TinyAutoencoder<Missing<Renormalize>> model(Mesh(), config, {.seed = 3});
  using Model = decltype(model);
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  Flags const flags{1, 0, 1, 1, 0, 0, 0, 0, 1, 0};
  auto batch = data.batch<Model>(0, 2), first = data.batch<Model>(0, 1), second = data.batch<Model>(1, 1);
  auto const present = on_device(flags, 2, 5), one = on_device({1, 0, 1, 1, 0}, 1, 5),
             other = on_device({0, 0, 0, 1, 0}, 1, 5);
  batch.present = present;
  first.present = one;
  second.present = other;
  double const whole = model.gradients(context, batch, 1.0);
  CHECK(model.evaluate(context, batch) == doctest::Approx(whole).epsilon(1e-13));
  auto const expected = gradients_of(model);
  model.parameters().zero_gradients(context);
  double const halves = 0.5 * (model.gradients(context, first, 0.5) + model.gradients(context, second, 0.5));
  CHECK(halves == doctest::Approx(whole).epsilon(1e-12));
  auto const actual = gradients_of(model);
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    largest = std::fmax(largest, std::fabs(expected[i]));
    difference = std::fmax(difference, std::fabs(actual[i] - expected[i]));
  }
  CHECK(difference <= 1e-12 * largest);
}

TEST_CASE("a model says what is wrong with the channels of a batch, by their names") {
  auto config = autoencoder_config();
  config.channel_list = {{"blue"}, {"green"}, {"red"}, {"edge"}, {"infrared"}};
  AutoencoderData const data(config, 1, 1);
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
  Workspace<tests::Space> workspace(std::size_t{8} << 20);
  Context<tests::Space> const context(workspace);
  auto batch = data.batch<TinyAutoencoder<>>(0, 1);
  auto const lacking = on_device({1, 1, 1, 0, 1}, 1, 5), narrow = on_device({1, 1, 1, 1}, 1, 4);
  batch.present = lacking;
  auto const text = message([&] { model.evaluate(context, batch); });
  CHECK(text.find("image 0 lacks channel 3 (edge)") != std::string::npos);
  CHECK(text.find("aggregator.0.1 (linear)") != std::string::npos);
  batch.present = narrow;
  CHECK(message([&] { model.evaluate(context, batch); }) ==
        "batch: present is [1, 4], expected [1, 5], of all ranks' channels, or nothing where no image lacks any");
}

TEST_CASE("the names of channels are saved with a model, and come back; a file without has an empty list") {
  auto config = forecaster_config();
  config.channel_list = {{"sst", "K"}, {"t", "K", 500.0}, {"red", "", {}, 645.0}, {"land"}};
  config.out_channel_list = {{"sst", "K"}, {"t", "K", 500.0}};
  tests::Scratch const scratch;
  auto const file = scratch / "model.safetensors";
  TinyForecaster model(Mesh(), config, {.seed = 1});
  save(model, file);
  std::string const saved = SafetensorsFile(file).metadata().at("dchag.config");
  auto const read = ForecasterConfig::from(parse_json(saved, "test"));
  CHECK(read.channel_list == config.channel_list);
  CHECK(read.out_channel_list == config.out_channel_list);
  CHECK(match_channels(read.channel_list, {{"land"}, {"red"}, {"t"}, {"sst"}}) == std::vector<Index>{3, 2, 1, 0});
  CHECK(ForecasterConfig::from(forecaster_config().json()).channel_list.empty());

  auto autoencoder = autoencoder_config();
  CHECK(MaskedAutoencoderConfig::from(autoencoder.json()).channel_list.empty());
  autoencoder.channel_list = {{"a"}, {"b"}, {"c"}, {"d"}, {"e"}};
  CHECK(MaskedAutoencoderConfig::from(autoencoder.json()).channel_list == autoencoder.channel_list);
}

TEST_CASE("lists of channels that do not fit a model are refused") {
  auto const refused = [](auto change) {
    auto config = forecaster_config();
    change(config);
    return message([&] { TinyForecaster model(Mesh(), config, {.storage = false}); });
  };
  CHECK(refused([](auto& c) { c.channel_list = {{"a"}}; }) ==
        "channel_list has 1 entries for 4 channels: name each, or none");
  CHECK(refused([](auto& c) {
          c.out_channel_list = {{"a"}, {"a"}};
        }) == "out_channel_list: \"a\" is named more than once: names must differ");
  auto config = autoencoder_config();
  config.channel_list = {{"a"}, {"b"}, {""}, {"d"}, {"e"}};
  CHECK(message([&] { TinyAutoencoder<> model(Mesh(), config, {.storage = false}); }) ==
        "channel_list: a channel has an empty name");
}

TEST_CASE(
    "a trainer trains on batches of which each image lacks other channels, at every step, and allocates nothing") {
  auto const config = autoencoder_config();
  AutoencoderData const data(config, 4, 1);
  FlatAutoencoder model(Mesh(), config, {.seed = 3});
  Trainer trainer(model, AdamW{.learning_rate = 1e-2});
  PresentView const present("present", 4, 5);
  auto batch = data.batch<FlatAutoencoder>(0, 4), whole = batch;
  batch.present = present;
  ChannelDropout const dropout{.seed = 1};
  trainer.plan(batch);
  double const before = trainer.evaluate(whole);
  std::size_t const bytes = trainer.workspace_bytes();
  for (Index step = 0; step < 60; ++step) {
    dropout.draw(tests::Space(), step, 0, present);
    trainer.step(batch);
  }
  CHECK(trainer.workspace_bytes() == bytes);
  CHECK(trainer.evaluate(whole) < 0.6 * before);
}
