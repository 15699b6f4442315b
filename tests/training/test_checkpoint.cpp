#include <doctest/doctest.h>

#include <dchag/training/checkpoint.hpp>
#include <dchag/training/schedule.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "io/full_disk.hpp"
#include "io/scratch.hpp"
#include "linear_regression.hpp"
#include "space.hpp"

namespace {

using dchag::AdamW;
using dchag::Index;
using dchag::Mesh;
using dchag::tests::error_of;
using dchag::tests::numbers_of;
using dchag::tests::Scratch;
using dchag::tests::Space;

template <class T>
using Model = dchag::tests::LinearRegression<T, Space>;

constexpr Index inputs = 5, outputs = 3;

template <class T>
auto images(Index step) {
  return dchag::tests::regression_batch<T, Space>(8 * step, 8, inputs, outputs);
}

dchag::WarmupCosine const schedule{.warmup = 3, .total = 12, .minimum = 0.1};

template <class T>
auto trainer_of(Model<T>& model) {
  return dchag::Trainer<Model<T>, dchag::WarmupCosine>(model, AdamW{.learning_rate = 0.05}, schedule, {.clip = 0.5});
}

bool contains(std::string const& text, std::string const& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

using Tensors = std::vector<dchag::SafetensorsWriter::Tensor>;

// A file with tensors of zeros, as a checkpoint of the model above but for what a test changes.
void write(std::filesystem::path const& path, Tensors const& tensors, dchag::Metadata metadata = {}) {
  Model<float> const model(Mesh(), inputs, outputs);
  metadata.insert({"dchag.config", model.config_json()});
  dchag::SafetensorsWriter writer(path, metadata, tensors);
  for (auto const& tensor : tensors) {
    std::size_t bytes = dchag::bytes_of(tensor.dtype);
    for (std::size_t const extent : tensor.shape) bytes *= extent;
    writer.write_bytes(tensor.name, std::vector<std::byte>(bytes));
  }
  writer.commit();
}

Tensors const good{{"layer.weight", dchag::Dtype::F32, {3, 5}}, {"layer.bias", dchag::Dtype::F32, {3}}};

}  // namespace

static_assert(dchag::CheckpointModel<Model<float>>);

TEST_CASE_TEMPLATE("a run that is resumed goes on bit for bit as one that was never interrupted", T, float, double) {
  Scratch const folder;
  auto const path = folder / "training.safetensors";
  Model<T> whole(Mesh(), inputs, outputs);
  auto uninterrupted = trainer_of(whole);
  std::vector<double> losses;
  for (Index step = 0; step < 12; ++step) losses.push_back(uninterrupted.step(images<T>(step)));
  {
    Model<T> first(Mesh(), inputs, outputs);
    auto trainer = trainer_of(first);
    for (Index step = 0; step < 5; ++step) trainer.step(images<T>(step));
    dchag::save(first, trainer, path, {{"scene", "Indian Pines"}});
  }
  Model<T> second(Mesh(), inputs, outputs, 999);  // another seed: nothing of the start survives
  auto trainer = trainer_of(second);
  trainer.step(images<T>(77));  // nor of a training that was under way
  auto const metadata = dchag::load(second, trainer, path);
  CHECK(metadata.at("scene") == "Indian Pines");
  CHECK(trainer.steps() == 5);
  for (Index step = 5; step < 12; ++step)
    CHECK(trainer.step(images<T>(step)) == losses[static_cast<std::size_t>(step)]);
  CHECK(numbers_of(second) == numbers_of(whole));
  CHECK(trainer.report().learning_rate == uninterrupted.report().learning_rate);
}

TEST_CASE("a checkpoint holds the parameters under their names and shapes, and the configuration") {
  Scratch const folder;
  auto const path = folder / "model.safetensors";
  Model<double> model(Mesh(), inputs, outputs);
  dchag::save(model, path);
  dchag::SafetensorsFile const file(path);
  CHECK(file.tensors().size() == 2);
  CHECK(file.at("layer.weight").shape == std::vector<std::size_t>{3, 5});
  CHECK(file.at("layer.bias").dtype == dchag::Dtype::F64);
  CHECK(file.metadata().at("dchag.config") == model.config_json());
  auto const weight = file.read<double>("layer.weight");
  auto const numbers = numbers_of(model);
  CHECK(weight == std::vector<double>(numbers.begin(), numbers.begin() + 15));

  auto trainer = trainer_of(model);
  trainer.step(images<double>(0));
  dchag::save(model, trainer, path);
  dchag::SafetensorsFile const training(path);
  CHECK(training.tensors().size() == 6);
  CHECK(training.at("optimizer.m.layer.weight").shape == std::vector<std::size_t>{3, 5});
  CHECK(training.at("optimizer.v.layer.bias").shape == std::vector<std::size_t>{3});
  CHECK(training.metadata().at("dchag.step") == "1");
}

TEST_CASE("parameters convert between float and double, the state of training does not") {
  Scratch const folder;
  auto const path = folder / "double.safetensors";
  Model<double> model(Mesh(), inputs, outputs);
  auto trainer = trainer_of(model);
  trainer.step(images<double>(0));
  dchag::save(model, trainer, path);

  Model<float> narrow(Mesh(), inputs, outputs, 999);
  dchag::load(narrow, path);
  auto const wide = numbers_of(model);
  auto const read = numbers_of(narrow);
  for (std::size_t i = 0; i < wide.size(); ++i) CHECK(read[i] == static_cast<float>(wide[i]));

  auto narrow_trainer = trainer_of(narrow);
  auto const text = error_of([&] { dchag::load(narrow, narrow_trainer, path); });
  contains(text, "layer.weight F64");
  contains(text, "training goes on in the precision that it was saved in");

  dchag::save(narrow, path);
  Model<double> back(Mesh(), inputs, outputs, 999);
  dchag::load(back, path);
  CHECK(numbers_of(back)[4] == static_cast<double>(read[4]));
}

TEST_CASE("a file of another configuration is refused, with the first field that differs and both values") {
  Scratch const folder;
  auto const path = folder / "model.safetensors";
  Model<float> model(Mesh(), inputs, outputs);
  dchag::save(model, path);
  Model<float> wider(Mesh(), inputs, 4), deeper(Mesh(), 7, outputs);
  contains(error_of([&] { dchag::load(wider, path); }), "head.outputs is 3 in the file and 4 in the model");
  contains(error_of([&] { dchag::load(deeper, path); }), "inputs is 5 in the file and 7 in the model");

  auto const compare = [&](std::string const& file, std::string const& ours) {
    return error_of([&] { dchag::detail::check_configuration("file", file, ours); });
  };
  contains(compare(R"({"tree":[{"groups":5}]})", R"({"tree":[{"groups":6}]})"),
           "tree[0].groups is 5 in the file and 6 in the model");
  contains(compare(R"({"tree":[1]})", R"({"tree":[1,2]})"), "tree[1] is absent in the file and 2 in the model");
  contains(compare(R"({"a":1,"b":2})", R"({"a":1})"), "b is 2 in the file and absent in the model");
  contains(compare(R"({"a":"x"})", R"({"a":null})"), "a is \"x\" in the file and null in the model");
  CHECK(compare(R"({"mlp_ratio":4,"b":true})", R"({"b":true,"mlp_ratio":4.0})") == "");
  contains(compare("{", "{}"), "file: metadata \"dchag.config\"");
}

TEST_CASE("tensors that are missing, too many or ill-shaped are named, and the model stays as it was") {
  Scratch const folder;
  auto const path = folder / "hostile.safetensors";
  Model<float> model(Mesh(), inputs, outputs);
  auto trainer = trainer_of(model);
  auto const before = numbers_of(model);
  auto const load = [&] { return error_of([&] { dchag::load(model, path); }); };

  write(path, {good[0]});
  CHECK(load() == path.string() + ": tensors are missing: layer.bias");
  write(path, {good[0], {"layer.bias", dchag::Dtype::F32, {4}}});
  CHECK(load() == path.string() + ": tensors have other shapes than in the model: layer.bias [4] instead of [3]");
  write(path, {good[0], {"layer.bias", dchag::Dtype::I32, {3}}});
  CHECK(load() == path.string() + ": tensors cannot be used as they are stored: layer.bias I32");
  Tensors many = good;
  for (int i = 0; i < 8; ++i) many.push_back({"extra." + std::to_string(i), dchag::Dtype::F32, {1}});
  write(path, many);
  CHECK(load() ==
        path.string() +
            ": holds tensors that the model does not have: extra.0, extra.1, extra.2, extra.3, extra.4 and 3 more");

  write(path, good);
  contains(error_of([&] { dchag::load(model, trainer, path); }), "holds parameters only, no state of training");
  write(path, good, {{"dchag.step", "3"}});
  contains(error_of([&] { dchag::load(model, trainer, path); }),
           "tensors are missing: optimizer.m.layer.weight, optimizer.v.layer.weight, optimizer.m.layer.bias");
  for (char const* step : {"", "-1", "3x", "99999999999999999999"}) {
    write(path, good, {{"dchag.step", step}});
    contains(error_of([&] { dchag::load(model, trainer, path); }),
             "metadata \"dchag.step\" is \"" + std::string(step) + "\"");
  }
  write(path, good, {{"dchag.config", "[1, 2"}});
  contains(load(), "metadata \"dchag.config\"");
  dchag::SafetensorsWriter(path, {}, {}).commit();
  contains(load(), "has no metadata \"dchag.config\"");
  CHECK(numbers_of(model) == before);
  write(path, good);
  CHECK(load() == "");
}

TEST_CASE("a truncated file, or none, is an error and the model stays as it was") {
  Scratch const folder;
  auto const path = folder / "model.safetensors";
  Model<float> model(Mesh(), inputs, outputs);
  dchag::save(model, path);
  auto const before = numbers_of(model);
  for (std::uintmax_t const cut : {1u, 20u, 1000u}) {
    auto const size = std::filesystem::file_size(path);
    std::filesystem::resize_file(path, size - std::min(cut, size));
    contains(error_of([&] { dchag::load(model, path); }), path.string());
  }
  contains(error_of([&] { dchag::load(model, folder / "absent.safetensors"); }), "absent.safetensors");
  CHECK(numbers_of(model) == before);
}

TEST_CASE("where the disk is full, what stood there before is unchanged") {
  Scratch const folder;
  auto const path = folder / "model.safetensors";
  Model<float> model(Mesh(), 5000, outputs);
  dchag::save(model, path);
  auto const size = std::filesystem::file_size(path);
  auto trainer = trainer_of(model);
  {
    dchag::tests::FullDisk const full(8192);
    contains(error_of([&] { dchag::save(model, trainer, path); }), path.string());
  }
  CHECK(std::filesystem::file_size(path) == size);
  CHECK(folder.entries() == 1);
  dchag::load(model, path);
}

TEST_CASE("a step that is not complete cannot be saved") {
  Scratch const folder;
  Model<float> model(Mesh(), inputs, outputs);
  dchag::Trainer trainer(model, AdamW{}, dchag::ConstantRate(), {.accumulate = 2});
  trainer.step(images<float>(0));
  contains(error_of([&] { dchag::save(model, trainer, folder / "a"); }), "1 batches of a step that is not complete");
  trainer.step(images<float>(1));
  dchag::save(model, trainer, folder / "a");
}
