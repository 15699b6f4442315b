// Loops that memory bounds, forward and backward: bytes a second (what each has to read and write at least, in
// arrays that no cache holds), against those of a triad measured in the same run.
#include <benchmark/benchmark.h>

#include <Kokkos_Timer.hpp>
#include <algorithm>
#include <dchag/core/parameters.hpp>
#include <dchag/layers/gelu.hpp>
#include <dchag/layers/layer_norm.hpp>
#include <dchag/models/patch_rows.hpp>
#include <dchag/parallel/environment.hpp>
#include <dchag/training/adamw.hpp>
#include <dchag/training/clip.hpp>
#include <dchag/training/loss.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "rates.hpp"

namespace {

using namespace dchag;
using benchmarks::Device;
using Numbers = Kokkos::View<float*, Device>;
using Rows = linalg::Matrix<float>;

constexpr Index rows = 1 << 15, columns = 512, elements = rows * columns;  // 64 MiB an array

/// Something to time, and the bytes that it has to move.
struct Loop {
  std::function<void(Context<Device> const&)> pass;
  double bytes;
};

constexpr double arrays(int count) { return count * static_cast<double>(elements) * sizeof(float); }

Rows matrix(Numbers const& numbers) { return {numbers.data(), rows, columns}; }

/// With what `make` answers built when the loop's turn comes, and gone after it.
void time_loop(benchmark::State& state, std::function<Loop()> const& make) {
  Loop const loop = make();
  Workspace<Device> workspace;
  loop.pass(Context<Device>(workspace));
  workspace.allocate(workspace.peak());
  Context<Device> const context(workspace);
  for (int touch = 0; touch < 2; ++touch) loop.pass(context);
  context.fence("loops");
  std::vector<double> seconds;
  double triad = benchmarks::triad_rate(elements);
  for (auto _ : state) {
    Kokkos::Timer const timer;
    loop.pass(context);
    context.fence("loops");
    seconds.push_back(timer.seconds());
    state.SetIterationTime(seconds.back());
  }
  triad = std::max(triad, benchmarks::triad_rate(elements));
  double const rate = loop.bytes / benchmarks::median(seconds);
  state.counters["median_ms"] = 1e3 * benchmarks::median(seconds);
  state.counters["GB/s"] = 1e-9 * rate;
  state.counters["triad_GB/s"] = 1e-9 * triad;
  state.counters["of_triad"] = rate / triad;
}

/// What a loop works on, kept alive by it.
struct Arrays {
  Numbers a = benchmarks::pixels(elements), b = benchmarks::pixels(elements), c = benchmarks::pixels(elements);
};

Loop adamw() {
  struct Model {
    Parameters<float, Device> parameters;
    Model() {
      parameters.add("weight", {elements}, constant(1));
      parameters.allocate(1);
    }
  };
  auto const model = std::make_shared<Model>();
  auto const state = std::make_shared<AdamWState<float, Device>>(model->parameters);
  return {[model, state](Context<Device> const& context) { state->step(context, AdamW{}, 1e-3); }, arrays(8)};
}

Loop clip() {
  struct Model {
    Parameters<float, Device> parameters;
    Model() {
      parameters.add("weight", {elements}, constant(1));
      parameters.allocate(1);
    }
  };
  auto const model = std::make_shared<Model>();
  return {[=](Context<Device> const& context) { gradient_norm(context, model->parameters); }, arrays(1)};
}

struct NormModel : Arrays {
  Parameters<float, Device> parameters;
  layers::LayerNorm<float, Device> norm{parameters, "norm", columns};
  NormModel() { parameters.allocate(1); }
};

/// Reads x; writes what is kept, and y.
Loop layer_norm_forward() {
  auto const model = std::make_shared<NormModel>();
  return {[=](Context<Device> const& context) {
            auto scope = context.workspace().scope();
            model->norm.forward(context, matrix(model->a), matrix(model->b));
          },
          arrays(3)};
}

/// Reads dy, what was kept and dx, and writes dx.
Loop layer_norm_backward() {
  auto const model = std::make_shared<NormModel>();
  return {[=](Context<Device> const& context) {
            auto scope = context.workspace().scope();
            model->norm.keep(context, rows);
            model->norm.add_backward(context, matrix(model->a), matrix(model->b));
          },
          arrays(4)};
}

Loop gelu_forward() {
  auto const data = std::make_shared<Arrays>();
  return {[=](Context<Device> const& context) {
            layers::gelu<Device, float>(context, matrix(data->a), matrix(data->b));
          },
          arrays(2)};
}

/// Reads u and dy; writes gelu(u) and du.
Loop gelu_backward() {
  auto const data = std::make_shared<Arrays>();
  auto const sums = std::make_shared<Numbers>("sums", columns);
  return {[=](Context<Device> const& context) {
            layers::gelu_backward(context, matrix(data->a), matrix(data->b), sums->data());
          },
          arrays(4)};
}

struct Images : Arrays {
  static constexpr Index height = 512, width = 512, images = elements / (height * width);
  Numbers weights{"row weights", static_cast<std::size_t>(height)};
  Images() { Kokkos::deep_copy(weights, 1.0f); }
  View<float****, Device> fields(Numbers const& numbers) const {
    return reshape<float****, Device>(numbers.data(), Index{1}, images, height, width);
  }
};

Loop latitude_loss() {
  auto const images = std::make_shared<Images>();
  return {[=](Context<Device> const& context) {
            latitude_weighted_mse(context, images->fields(images->a), images->fields(images->b), images->weights);
          },
          arrays(2)};
}

/// Reads prediction and target; writes the gradient.
Loop latitude_gradient() {
  auto const images = std::make_shared<Images>();
  return {[=](Context<Device> const& context) {
            latitude_weighted_mse(context, images->fields(images->a), images->fields(images->b), images->weights, 1.0,
                                  images->fields(images->c));
          },
          arrays(3)};
}

Loop masked_gradient() {
  auto const data = std::make_shared<Arrays>();
  auto const hidden = std::make_shared<Numbers>("hidden", rows);
  Kokkos::deep_copy(*hidden, 1.0f);
  auto const shaped = [](Numbers const& numbers) { return reshape<float**, Device>(numbers.data(), rows, columns); };
  return {[=](Context<Device> const& context) {
            masked_mse(context, shaped(data->a), shaped(data->b), *hidden, 1.0, shaped(data->c));
          },
          arrays(3)};
}

/// Of images patch by patch: reads them and the prediction, whose place the gradient takes.
struct Patches {
  static constexpr Index images = 4, channels = 200, edge = 144, patch = 8, count = images * channels * edge * edge;
  channels::PatchGrid grid{channels, edge, edge, patch};
  Numbers pixels = benchmarks::pixels(count), prediction = benchmarks::pixels(count);
  Kokkos::View<Index*, Device> hidden{"hidden", static_cast<std::size_t>(images* grid.locations())};
  Patches() {
    auto const host = Kokkos::create_mirror_view(hidden);
    for (Index row = 0; row < images * grid.locations(); ++row) host(row) = row % grid.locations();
    Kokkos::deep_copy(hidden, host);
  }
};

Loop reconstruction_gradient() {
  auto const patches = std::make_shared<Patches>();
  return {[=](Context<Device> const& context) {
            Index const locations = patches->grid.locations();
            detail::reconstruction_error<float>(context, patches->grid, Patches::images * locations, locations,
                                                patches->hidden.data(), patches->pixels.data(), 1.0,
                                                patches->prediction.data());
          },
          3.0 * Patches::count * sizeof(float)};
}

}  // namespace

int main(int argc, char** argv) {
  Environment const environment(argc, argv);
  std::pair<char const*, Loop (*)()> const loops[] = {
      {"adamw", adamw},
      {"gradient_norm", clip},
      {"layer_norm/forward", layer_norm_forward},
      {"layer_norm/backward", layer_norm_backward},
      {"gelu/forward", gelu_forward},
      {"gelu/backward", gelu_backward},
      {"latitude_weighted_mse", latitude_loss},
      {"latitude_weighted_mse/gradient", latitude_gradient},
      {"masked_mse/gradient", masked_gradient},
      {"reconstruction_error/gradient", reconstruction_gradient},
  };
  for (auto const& [name, make] : loops)
    benchmark::RegisterBenchmark(name, time_loop, std::function<Loop()>(make))->UseManualTime()->Iterations(20);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
