#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <dchag/models/scene.hpp>
#include <set>
#include <span>
#include <vector>

#include "models/made_scene.hpp"

namespace dchag::tests {
namespace {

/// What the model says to one image of its size, [embed, height / patch, width / patch].
HostImage direct_features(TinyAutoencoder<>& model, HostImage const& image) {
  auto const& config = model.config();
  Kokkos::View<double*, Space> const in("in", image.values.size()),
      rows("rows", static_cast<std::size_t>(config.locations() * config.embed));
  Kokkos::deep_copy(in, Kokkos::View<double const*, Kokkos::HostSpace>(image.values.data(), image.values.size()));
  Workspace<Space> workspace(std::size_t{8} << 20);
  model.features(Context<Space>(workspace),
                 reshape<double const****, Space>(static_cast<double const*>(in.data()), 1, 5, 6, 8),
                 reshape<double***, Space>(rows.data(), 1, config.locations(), config.embed));
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), rows);
  HostImage out{config.embed, 3, 4};
  for (Index e = 0; e < config.embed; ++e)
    for (Index l = 0; l < 12; ++l) out.at(e, l / 4, l % 4) = host(static_cast<std::size_t>(l * config.embed + e));
  return out;
}

HostImage cut(HostImage& scene, Window const& window) {
  HostImage part{scene.bands, window.height, window.width};
  scene.get(window, part.values);
  return part;
}

/// The largest difference, infinite where only one is a number.
double difference(HostImage const& a, HostImage const& b) {
  REQUIRE(a.values.size() == b.values.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    bool const neither = std::isnan(a.values[i]) && std::isnan(b.values[i]);
    double const here = neither ? 0 : std::abs(a.values[i] - b.values[i]);
    largest = std::max(largest, std::isnan(here) ? INFINITY : here);
  }
  return largest;
}

TEST_CASE("windows cover every length with their answers side by side, in steps of the patch") {
  for (Index patch : {1, 2, 4})
    for (Index window : {4, 8, 12})
      for (Index margin = 0; 2 * margin < window; margin += patch)
        for (Index length = 1; length < 40; ++length) {
          CAPTURE(patch);
          CAPTURE(window);
          CAPTURE(margin);
          CAPTURE(length);
          Index next = 0;
          auto const windows = detail::axis_windows(length, window, patch, margin);
          for (auto const& [start, begin, end] : windows) {
            REQUIRE(begin == next);
            REQUIRE(end > begin);
            REQUIRE(begin >= start);
            REQUIRE(end <= start + window);
            REQUIRE(start % patch == 0);
            REQUIRE(begin % patch == 0);
            REQUIRE((start == 0 || begin - start >= margin));
            REQUIRE((end >= length || start + window - end >= margin));
            next = end;
          }
          REQUIRE(next == ceil_div(length, patch) * patch);
          REQUIRE((length <= window || windows.back().start + window < length + patch));
        }
}

TEST_CASE("a scene of the model's size has the model's features") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  auto const scene = made_scene(6, 8);
  CHECK(difference(features_of(model, scene, plain_statistics(), {}), direct_features(model, scene)) < 1e-12);
}

TEST_CASE("each answer is that of the window in which it lies farthest from the edges, for every batch") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  auto scene = made_scene(10, 14);
  auto const all = features_of(model, scene, plain_statistics(), {.margin = 2, .batch = 1});
  // Windows begin at rows 0, 2, 4 and columns 0, 4, 6: the patch (2, 3), pixels 4 to 5 and 6 to 7, is in the middle of
  // that from row 2 on, and the last that is answered by that from column 0 on, or the first by that from column 4 on.
  auto const middle = direct_features(model, cut(scene, {2, 4, 6, 8}));
  auto const last = direct_features(model, cut(scene, {4, 6, 6, 8}));
  for (Index e = 0; e < 12; ++e) {
    CHECK(const_cast<HostImage&>(all).at(e, 2, 3) == doctest::Approx(const_cast<HostImage&>(middle).at(e, 1, 1)));
    CHECK(const_cast<HostImage&>(all).at(e, 4, 6) == doctest::Approx(const_cast<HostImage&>(last).at(e, 2, 3)));
  }
  auto const pixels = reconstruction_of(model, scene, plain_statistics(), {.margin = 2, .batch = 1});
  for (Index batch : {2, 4, 100}) {
    SceneOptions const options{.margin = 2, .batch = batch};
    CHECK(difference(features_of(model, scene, plain_statistics(), options), all) < 1e-10);
    CHECK(difference(reconstruction_of(model, scene, plain_statistics(), options), pixels) < 1e-10);
  }
}

TEST_CASE("a small scene, or one of no whole patches, is continued by its mirror image") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  for (Index height : {1, 2, 5})
    for (Index width : {1, 3, 7}) {
      CAPTURE(height);
      CAPTURE(width);
      auto scene = made_scene(height, width);
      HostImage mirrored{5, 6, 8};
      for (Index band = 0; band < 5; ++band)
        for (Index row = 0; row < 6; ++row)
          for (Index column = 0; column < 8; ++column) {
            Index r = row, c = column;
            while (r >= height) r = r < 2 * height ? 2 * height - 1 - r : r - 2 * height;
            while (c >= width) c = c < 2 * width ? 2 * width - 1 - c : c - 2 * width;
            mirrored.at(band, row, column) = scene.at(band, r, c);
          }
      auto whole = direct_features(model, mirrored);
      auto const expected = cut(whole, {0, 0, (height + 1) / 2, (width + 1) / 2});
      CHECK(difference(features_of(model, scene, plain_statistics(), {}), expected) < 1e-12);
    }
}

TEST_CASE("no window that is read is larger than the model's image, and every place is written once") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  auto scene = made_scene(23, 31);
  Index calls = 0, told = 0;
  SceneInference<TinyAutoencoder<>> inference(model, 23, 31, plain_statistics(),
                                              {.progress = [&](Index done, Index windows) {
                                                CHECK(done == ++told);
                                                CHECK(windows == inference.windows());
                                              }});
  auto const read = [&](Window const& window, std::span<double> to) {
    ++calls;
    CHECK(window.height <= 6);
    CHECK(window.width <= 8);
    scene.get(window, to);
  };
  for (bool features : {true, false}) {
    Index const rows = features ? 12 : 23, columns = features ? 16 : 31;
    std::vector<int> written(static_cast<std::size_t>(rows * columns));
    auto const write = [&](Window const& window, std::span<double const> from) {
      CHECK(static_cast<Index>(from.size()) == window.pixels() * (features ? 12 : 5));
      for (Index row = window.top; row < window.top + window.height; ++row)
        for (Index column = window.left; column < window.left + window.width; ++column)
          ++written[static_cast<std::size_t>(row * columns + column)];
    };
    calls = told = 0;
    if (features)
      inference.features(read, write);
    else
      inference.reconstruct(read, write);
    CHECK(calls == inference.windows());
    CHECK(told == inference.windows());
    CHECK(std::count(written.begin(), written.end(), 1) == rows * columns);
  }
}

TEST_CASE("pixels without data stay without, their patch without features, and all others have an answer") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  auto scene = made_scene(17, 19);
  scene.at(2, 4, 7) = nothing;
  scene.at(0, 16, 18) = INFINITY;
  auto features = features_of(model, scene, plain_statistics(), {});
  auto pixels = reconstruction_of(model, scene, plain_statistics(), {});
  for (Index row = 0; row < 9; ++row)
    for (Index column = 0; column < 10; ++column)
      for (Index e = 0; e < 12; ++e)
        REQUIRE(std::isnan(features.at(e, row, column)) == ((row == 2 && column == 3) || (row == 8 && column == 9)));
  for (Index row = 0; row < 17; ++row)
    for (Index column = 0; column < 19; ++column)
      for (Index band = 0; band < 5; ++band)
        REQUIRE(std::isnan(pixels.at(band, row, column)) == ((row == 4 && column == 7) || (row == 16 && column == 18)));

  auto filled = scene;
  auto statistics = plain_statistics();
  for (std::size_t band = 0; band < 5; ++band) statistics[band].mean = 1.0 + static_cast<double>(band);
  for (Index band = 0; band < 5; ++band)
    filled.at(band, 4, 7) = filled.at(band, 16, 18) = 1.0 + static_cast<double>(band);
  auto mean = features_of(model, filled, statistics, {});
  auto seen = features_of(model, scene, statistics, {});
  for (Index e = 0; e < 12; ++e)
    for (auto const& [row, column] : {std::pair<Index, Index>{2, 3}, {8, 9}}) mean.at(e, row, column) = nothing;
  CHECK(difference(seen, mean) < 1e-12);
}

TEST_CASE("a patch that the scene's end cuts is not without data for a mirror image in it") {
  auto config = autoencoder_config();
  config.height = config.width = 8;
  config.patch = 4;
  TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
  auto scene = made_scene(5, 8);
  scene.at(0, 3, 0) = nothing;  // its mirror image stands in row 6
  auto features = features_of(model, scene, plain_statistics(), {});
  CHECK(std::isnan(features.at(0, 0, 0)));
  CHECK(std::isfinite(features.at(0, 1, 0)));
}

TEST_CASE("windows without any data are answered without the model") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.storage = false});  // cannot be run
  HostImage const scene{5, 11, 13};
  for (auto const& image :
       {features_of(model, scene, plain_statistics(), {}), reconstruction_of(model, scene, plain_statistics(), {})})
    CHECK(std::all_of(image.values.begin(), image.values.end(), [](double value) { return std::isnan(value); }));
}

TEST_CASE("features do not depend on the units of the scene, a reconstruction is in them") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  auto const scene = made_scene(9, 11);
  auto scaled = scene;
  auto statistics = plain_statistics();
  for (std::size_t band = 0; band < 5; ++band) {
    statistics[band] = {"", 10.0 * static_cast<double>(band), 1.0 + static_cast<double>(band)};
    for (std::size_t i = 0; i < 99; ++i)
      scaled.values[band * 99 + i] = statistics[band].mean + statistics[band].deviation * scene.values[band * 99 + i];
  }
  CHECK(difference(features_of(model, scaled, statistics, {}), features_of(model, scene, plain_statistics(), {})) <
        1e-9);
  auto const plain = reconstruction_of(model, scene, plain_statistics(), {});
  auto const back = reconstruction_of(model, scaled, statistics, {});
  for (std::size_t i = 0; i < plain.values.size(); ++i)
    REQUIRE(back.values[i] ==
            doctest::Approx(statistics[i / 99].mean + statistics[i / 99].deviation * plain.values[i]));
}

TEST_CASE("a band that does not vary is centred") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.seed = 3});
  auto scene = made_scene(6, 8), centred = scene;
  for (Index pixel = 0; pixel < 48; ++pixel) scene.values[static_cast<std::size_t>(pixel)] = 7;
  for (Index pixel = 0; pixel < 48; ++pixel) centred.values[static_cast<std::size_t>(pixel)] = 0;
  auto statistics = plain_statistics();
  statistics[0] = {"band_1", 7, 0};
  CHECK(difference(features_of(model, scene, statistics, {}), direct_features(model, centred)) < 1e-12);
}

TEST_CASE("a patch is reconstructed from others only") {
  for (double mask : {0.25, 0.5, 0.8}) {
    CAPTURE(mask);
    auto config = autoencoder_config();
    config.mask_ratio = mask;
    TinyAutoencoder<> model(Mesh(), config, {.seed = 3});
    auto scene = made_scene(6, 8);
    auto before = reconstruction_of(model, scene, plain_statistics(), {.seed = 5});
    for (Index row = 2; row < 4; ++row)
      for (Index column = 4; column < 6; ++column)
        for (Index band = 0; band < 5; ++band) scene.at(band, row, column) += 3;
    auto after = reconstruction_of(model, scene, plain_statistics(), {.seed = 5});
    double elsewhere = 0;
    for (Index row = 0; row < 6; ++row)
      for (Index column = 0; column < 8; ++column)
        for (Index band = 0; band < 5; ++band) {
          double const change = std::abs(after.at(band, row, column) - before.at(band, row, column));
          if (row / 2 == 1 && column / 2 == 2)
            REQUIRE(change == 0);
          else
            elsewhere = std::max(elsewhere, change);
        }
    CHECK(elsewhere > 0);
  }
}

TEST_CASE("every patch is hidden as often as the others, to one, and is seen") {
  for (Index hidden : {1, 3, 5, 9, 11}) {
    detail::HidingOrder const order(1, 7, 12, hidden);
    std::vector<int> counts(12);
    std::set<Index> ever_visible;
    for (Index pass = 0; pass < order.passes(); ++pass) {
      std::set<Index> seen;
      for (Index j = 0; j < hidden; ++j)
        ++counts[static_cast<std::size_t>(order.at(pass, j))], seen.insert(order.at(pass, j));
      std::vector<Index> keep(static_cast<std::size_t>(12 - hidden));
      order.visible(pass, keep);
      seen.insert(keep.begin(), keep.end());
      ever_visible.insert(keep.begin(), keep.end());
      CHECK(seen.size() == 12);
    }
    CHECK(ever_visible.size() == 12);
    auto const [least, most] = std::minmax_element(counts.begin(), counts.end());
    CHECK(*least >= 1);
    CHECK(*most - *least <= 1);
  }
}

TEST_CASE("arguments that do not fit are refused with the field and its value") {
  TinyAutoencoder<> model(Mesh(), autoencoder_config(), {.storage = false});
  auto const refused = [&](Index height, std::vector<ChannelStatistics> const& statistics,
                           SceneOptions const& options) {
    return message([&] { SceneInference<TinyAutoencoder<>>(model, height, 9, statistics, options); });
  };
  auto const has = [](std::string const& text, std::string const& part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(refused(0, plain_statistics(), {}), "height = 0, width = 9");
  has(refused(9, plain_statistics(), {.batch = 0}), "batch = 0");
  has(refused(9, plain_statistics(), {.margin = 1}), "margin = 1");
  has(refused(9, plain_statistics(), {.margin = 4}), "margin = 4");
  has(refused(9, plain_statistics(), {.margin = -2}), "margin = -2");
  has(refused(9, {{"a", 1, 1}}, {}), "statistics of 1 channels, expected 5");
  auto wrong = plain_statistics();
  wrong[3].deviation = -1;
  has(refused(9, wrong, {}), "the channel \"band_4\" has mean 0 and deviation -1");
}

}  // namespace
}  // namespace dchag::tests
