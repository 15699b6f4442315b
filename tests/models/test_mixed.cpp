#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "io/scratch.hpp"
#include "models/cases.hpp"
#include "models/mesh_case.hpp"

using namespace dchag;

namespace {

template <class What>
using AutoencoderIn =
    MaskedAutoencoder<Precision<What>, dchag::Space<tests::Space>, Tree<Linear<3>, CrossAttention<1>>>;
template <class What>
using ForecasterIn = Forecaster<Precision<What>, dchag::Space<tests::Space>, Tree<CrossAttention<1>>>;
template <class Model>
using OneLead = tests::ForecasterBatches<Model, 1>;

/// What a model says about three images.
struct Answer {
  double loss = 0, evaluated = 0;
  std::vector<double> gradients, prediction;
};

/// In a context that says nothing about products unless they are given, and in a workspace of what was measured.
template <class Model, template <class> class Batches>
Answer answer_of(typename Model::Config const& config, Index fields, Products products = Products::unrounded) {
  Model model(Mesh(), config, {.seed = 3});
  Batches<Model> const data(model, 1, 3, 0, 3);
  auto const batch = data.batch(model, 3);
  Kokkos::View<float*, tests::Space> const prediction(
      "prediction", static_cast<std::size_t>(3 * fields * config.height * config.width));
  auto const run = [&](Workspace<tests::Space>& workspace) {
    auto const context = Context<tests::Space>(workspace).with(products);
    Answer answer;
    answer.loss = model.gradients(context, batch, 1.0);
    answer.evaluated = model.evaluate(context, batch);
    model.predict(context, batch,
                  reshape<float****, tests::Space>(prediction.data(), 3, fields, config.height, config.width));
    return answer;
  };
  Workspace<tests::Space> measuring;
  run(measuring);
  Workspace<tests::Space> workspace(measuring.peak());
  Answer answer = run(workspace);
  CHECK(workspace.peak() == measuring.peak());
  answer.gradients = tests::gradients_of(model);
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), prediction);
  answer.prediction.assign(host.data(), host.data() + host.size());
  return answer;
}

void check_within_rounding(Answer const& single, Answer const& mixed) {
  auto const off = [](double difference) { return difference > 1e-5 && difference < 2e-2; };
  CHECK(off(std::abs(mixed.loss / single.loss - 1)));
  CHECK(off(std::abs(mixed.evaluated / single.evaluated - 1)));
  CHECK(off(tests::relative_difference(single.gradients, mixed.gradients)));
  CHECK(off(tests::relative_difference(single.prediction, mixed.prediction)));
}

void check_equal(Answer const& a, Answer const& b) {
  CHECK(a.loss == b.loss);
  CHECK(a.evaluated == b.evaluated);
  CHECK(a.gradients == b.gradients);
  CHECK(a.prediction == b.prediction);
}

std::string contents(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Trains a model, which lowers its loss, and passes it on to one of another precision and back; both then hold it bit
/// for bit.
template <class Model, class Other, template <class> class Batches>
void check_passed_on(typename Model::Config const& config) {
  tests::Scratch const scratch;
  Model model(Mesh(), config, {.seed = 3});
  Batches<Model> const data(model, 1, 3, 0, 3);
  Trainer trainer(model, AdamW{.learning_rate = 1e-2});
  auto const batch = data.batch(model, 3);
  double const before = trainer.evaluate(batch);
  for (int step = 0; step < 40; ++step) trainer.step(batch);
  CHECK(trainer.evaluate(batch) < 0.6 * before);
  save(model, trainer, scratch / "first");

  Other other(Mesh(), config, {.seed = 4});
  Trainer of_other(other, AdamW{.learning_rate = 1e-2});
  load(other, of_other, scratch / "first");
  Batches<Other> const same(other, 1, 3, 0, 3);
  auto const others = same.batch(other, 3);
  CHECK(of_other.evaluate(others) == doctest::Approx(trainer.evaluate(batch)).epsilon(2e-2));
  CHECK(of_other.evaluate(others) != trainer.evaluate(batch));
  save(other, of_other, scratch / "second");
  CHECK(contents(scratch / "second") == contents(scratch / "first"));
  CHECK(of_other.step(others) == doctest::Approx(trainer.step(batch)).epsilon(2e-2));

  Model again(Mesh(), config, {.seed = 5});
  Trainer of_again(again, AdamW{.learning_rate = 1e-2});
  load(again, of_again, scratch / "second");
  CHECK(of_again.step(batch) == trainer.report().loss);
}

}  // namespace

TEST_CASE("a mixed model's loss, gradients and answers are those of float, to the rounding of bfloat16") {
  auto const hidden = tests::autoencoder_config();
  auto const float_hidden = answer_of<AutoencoderIn<float>, tests::AutoencoderBatches>(hidden, hidden.channels);
  check_within_rounding(float_hidden,
                        answer_of<AutoencoderIn<Mixed>, tests::AutoencoderBatches>(hidden, hidden.channels));
  auto const future = tests::forecaster_config();
  auto const float_future = answer_of<ForecasterIn<float>, OneLead>(future, future.out_channels);
  check_within_rounding(float_future, answer_of<ForecasterIn<Mixed>, OneLead>(future, future.out_channels));
}

TEST_CASE("a model's policy decides on its products, whatever its context says") {
  auto const hidden = tests::autoencoder_config();
  auto const future = tests::forecaster_config();
  auto const both = [](auto const& answer) { check_equal(answer(Products::unrounded), answer(Products::bfloat16)); };
  both([&](Products products) {
    return answer_of<AutoencoderIn<float>, tests::AutoencoderBatches>(hidden, hidden.channels, products);
  });
  both([&](Products products) {
    return answer_of<ForecasterIn<Mixed>, OneLead>(future, future.out_channels, products);
  });
}

TEST_CASE("features of a mixed model are those of float, to the rounding of bfloat16") {
  auto const config = tests::autoencoder_config();
  auto const features = [&]<class Model>(std::type_identity<Model>) {
    Model model(Mesh(), config, {.seed = 3});
    tests::AutoencoderBatches<Model> const data(model, 1, 2, 0, 2);
    Kokkos::View<float*, tests::Space> const out("out",
                                                 static_cast<std::size_t>(2 * config.locations() * config.embed));
    Workspace<tests::Space> workspace(std::size_t{8} << 20);
    model.features(Context<tests::Space>(workspace), data.batch(model, 2).images,
                   reshape<float***, tests::Space>(out.data(), 2, config.locations(), config.embed));
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), out);
    return std::vector<double>(host.data(), host.data() + host.size());
  };
  double const off = tests::relative_difference(features(std::type_identity<AutoencoderIn<float>>()),
                                                features(std::type_identity<AutoencoderIn<Mixed>>()));
  CHECK(off > 1e-5);
  CHECK(off < 2e-2);
}

TEST_CASE("a mixed model trains, and passes on what it has learned to one of float and back, bit for bit") {
  check_passed_on<AutoencoderIn<Mixed>, AutoencoderIn<float>, tests::AutoencoderBatches>(tests::autoencoder_config());
  check_passed_on<ForecasterIn<float>, ForecasterIn<Mixed>, OneLead>(tests::forecaster_config());
}
