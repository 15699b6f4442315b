#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <dchag/dchag.hpp>
#include <limits>
#include <string>
#include <vector>

#include "folder.hpp"
#include "space.hpp"

// Holds a model against a golden file: outputs, loss, every gradient, and the parameters after a step of AdamW.
namespace dchag::tests {

/// Any order of evaluation, named at run time.
struct AnyOrder {
  static inline Order order = Order::materialized;
  static constexpr bool allows(Order) { return true; }
  static Order choose(UnitSize const&) { return order; }
};

template <class T>
inline constexpr double tolerance = std::is_same_v<T, double> ? 1e-10 : 1e-4;

class Golden {
 public:
  explicit Golden(std::string const& name)
      : file_(folder() + "/conformance/goldens/" + name + ".safetensors"),
        config_(parse_json(file_.metadata().at("dchag.config"), name)) {}

  Json const& config() const { return config_; }
  template <class T>
  Kokkos::View<T*, Space> read(std::string const& name) const {
    return upload<T>(file_.template read<T>(name));
  }
  template <class T>
  double read_scalar(std::string const& name) const {
    return static_cast<double>(file_.template read<T>(name).at(0));
  }
  template <class T>
  static Kokkos::View<T*, Space> upload(std::vector<T> const& values) {
    Kokkos::View<T*, Space> view("golden", values.size());
    Kokkos::deep_copy(view, Kokkos::View<T const*, Kokkos::HostSpace>(values.data(), values.size()));
    return view;
  }
  /// Fails unless the values differ from the tensor by at most the tolerance of T, relative to the largest magnitude in
  /// the tensor. One that is zero but for rounding beside `others`, the largest magnitude of its kind, is to be so here
  /// too: the gradient of the query of a single token, say.
  template <class T>
  void check(std::string const& name, T const* values, Index count, double others = 0) const {
    std::vector<T> const expected = file_.template read<T>(name);
    REQUIRE_MESSAGE(static_cast<Index>(expected.size()) == count, name);
    auto const actual = Kokkos::create_mirror_view_and_copy(
        Kokkos::HostSpace(), View<T const*, Space>(values, static_cast<std::size_t>(count)));
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
      double const off = std::abs(static_cast<double>(expected[i]) - static_cast<double>(actual(i)));
      difference = off <= difference ? difference : off;  // a NaN stays
    }
    double const rounding = others * (std::is_same_v<T, double> ? 1e-12 : 1e-6);
    CHECK_MESSAGE(difference <= (largest < rounding ? rounding : tolerance<T> * largest), name, " is off by ",
                  difference, " of ", largest);
  }
  /// The largest magnitude among all tensors whose names begin so.
  double magnitude(std::string const& prefix) const {
    double largest = 0;
    for (auto const& tensor : file_.tensors())
      if (tensor.name.starts_with(prefix))
        for (double value : file_.template read<double>(tensor.name)) largest = std::max(largest, std::abs(value));
    return largest;
  }

 private:
  SafetensorsFile file_;
  Json config_;
};

/// Puts the file's values into a model.
template <class Model>
void set_parameters(Model& model, Golden const& golden) {
  using T = typename Model::Scalar;
  for (auto const& parameter : model.parameters().all())
    Kokkos::deep_copy(parameter.template value<T*>(parameter.size()),
                      golden.template read<T>("param." + parameter.name));
}

/// Outputs, loss and gradients, in a workspace that was measured; then the parameters after a step of AdamW.
template <class Model>
void check_model(Model& model, Golden const& golden, typename Model::Batch const& batch, Index outputs) {
  using T = typename Model::Scalar;
  Workspace<Space> workspace;
  Context<Space> const dry(workspace);
  Kokkos::View<T*, Space> const output("output", static_cast<std::size_t>(outputs));
  auto const predict = [&](Context<Space> const& context) {
    auto const& c = model.config();
    model.predict(context, batch,
                  reshape<T****, Space>(output.data(), batch.size(), outputs / (batch.size() * c.height * c.width),
                                        c.height, c.width));
  };
  CHECK(model.gradients(dry, batch, 1.0) == 0.0);
  std::size_t const training = workspace.peak();
  predict(dry);
  std::size_t const planned = workspace.peak();
  workspace.allocate(planned);
  Context<Space> const context(workspace);
  double const loss = golden.template read_scalar<T>("output.loss");
  CHECK(std::abs(model.gradients(context, batch, 1.0) - loss) <= tolerance<T> * loss);
  CHECK(workspace.peak() == training);
  CHECK(workspace.used() == 0);
  CHECK(std::abs(model.evaluate(context, batch) - loss) <= tolerance<T> * loss);
  predict(context);
  golden.check("output.prediction", static_cast<T const*>(output.data()), outputs);

  double const largest = golden.magnitude("grad.");
  for (auto const& parameter : model.parameters().all())
    golden.check("grad." + parameter.name, static_cast<T const*>(parameter.gradients), parameter.size(), largest);
  Json const* const optimizer = json_find(golden.config(), "optimizer");
  if (optimizer == nullptr) return;
  auto const& betas = json_array(json_at(*optimizer, "betas"), "betas");
  AdamW const adamw{.learning_rate = json_get<double>(*optimizer, "lr"),
                    .beta1 = json_to<double>(betas[0], "betas"),
                    .beta2 = json_to<double>(betas[1], "betas"),
                    .epsilon = json_get<double>(*optimizer, "eps"),
                    .weight_decay = json_get<double>(*optimizer, "weight_decay")};
  AdamWState<T, Space> state(model.parameters());
  state.step(context, adamw, adamw.learning_rate, 1.0, Gradients::zero);
  for (auto const& parameter : model.parameters().all())
    golden.check("step." + parameter.name, static_cast<T const*>(parameter.values), parameter.size());
}

template <class T, class TreePolicy, class Evaluation, class... More>
void check_golden_as(Golden const& golden) {
  Index const images = json_get<Index>(golden.config(), "batch");
  auto const input = golden.template read<T>("input.x");
  if (json_get<std::string>(golden.config(), "task") == "forecast") {
    using Model = Forecaster<Precision<T>, dchag::Space<Space>, TreePolicy, Evaluation, More...>;
    auto const config = ForecasterConfig::from(golden.config());
    Model model(Mesh(), config);
    set_parameters(model, golden);
    auto const target = golden.template read<T>("input.target"), lead_time = golden.template read<T>("input.lead_time");
    check_model(model, golden,
                {reshape<T const****, Space>(input.data(), images, config.channels, config.height, config.width),
                 reshape<T const****, Space>(target.data(), images, config.out_channels, config.height, config.width),
                 reshape<T const*, Space>(lead_time.data(), images)},
                images * config.out_channels * config.height * config.width);
  } else {
    using Model = MaskedAutoencoder<Precision<T>, dchag::Space<Space>, TreePolicy, Evaluation, More...>;
    auto const config = MaskedAutoencoderConfig::from(golden.config());
    Model model(Mesh(), config);
    set_parameters(model, golden);
    auto const keep = golden.template read<Index>("input.keep");
    check_model(model, golden,
                {reshape<T const****, Space>(input.data(), images, config.channels, config.height, config.width),
                 reshape<Index const**, Space>(keep.data(), images, config.kept())},
                images * config.channels * config.height * config.width);
  }
}

/// Every order of evaluation of a tree, on one file; levels of Linear folded, and as published.
template <class T, class TreePolicy>
void check_golden(std::string const& name) {
  CAPTURE(name);
  Golden const golden(name);
  for (Order order : all_orders) {
    CAPTURE(static_cast<int>(order));
    AnyOrder::order = order;
    check_golden_as<T, TreePolicy, Evaluate<AnyOrder>>(golden);
    if constexpr (std::tuple_element_t<0, typename TreePolicy::levels>::name == std::string_view("linear"))
      return check_golden_as<T, TreePolicy, Evaluate<Materialized>>(golden);
  }
}

}  // namespace dchag::tests
