#pragma once

#include <cmath>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace dchag {

/// How a parameter starts: every element `mean`, or drawn from a normal distribution of that standard deviation about
/// it.
struct Initial {
  double mean = 0;
  double deviation = 0;
};
inline Initial constant(double value) { return {value, 0}; }
inline Initial normal(double deviation) { return {0, deviation}; }

/// One named tensor and its gradient, each a range of a flat buffer. `values` and `gradients` may be read
/// and written from Parameters::allocate() on.
template <class T, class Space>
struct Parameter {
  std::string name;
  std::vector<Index> shape;
  Initial initial;
  T* values = reinterpret_cast<T*>(std::uintptr_t{1} << 12);  // not to be touched before allocation
  T* gradients = values;

  Index size() const {
    Index count = 1;
    for (Index extent : shape) count *= extent;
    return count;
  }
  template <class Data, class... Extents>
  View<Data, Space> value(Extents... extents) const {
    return reshape<Data, Space>(values, extents...);
  }
  template <class Data, class... Extents>
  View<Data, Space> gradient(Extents... extents) const {
    return reshape<Data, Space>(gradients, extents...);
  }
};

/// A run of parameters that are reduced, sharded and optimized together, in one flat buffer.
template <class T, class Space>
struct ShardUnit {
  using Buffer = Kokkos::View<T*, typename Space::device_type>;
  std::string name;
  std::vector<Parameter<T, Space>*> parameters;
  Index size = 0;  // elements, padding between parameters included (the padding stays zero)
  Buffer values, gradients;
};

/// All parameters of a model. Layers add theirs when they are built; allocate() then gives them storage.
template <class T, class Space>
class Parameters {
 public:
  static constexpr Index padding = 32;  // elements: every parameter starts on a boundary of this many

  Parameters() = default;
  Parameters(Parameters const&) = delete;
  Parameters& operator=(Parameters const&) = delete;

  /// Parameters added from here on belong to this shard unit.
  void begin_unit(std::string name) { units_.push_back({std::move(name), {}, 0, {}, {}}); }

  /// The reference stays valid for the life of this object. Throws on a name used before.
  Parameter<T, Space>& add(std::string name, std::vector<Index> shape, Initial initial) {
    require(find(name) == nullptr, "parameter ", name, " is added twice: give each layer a name of its own");
    require(!allocated_, "parameter ", name, " is added after allocation: build every layer before");
    if (units_.empty()) begin_unit("model");
    Parameter<T, Space>& added = parameters_.emplace_back();
    added.name = std::move(name);
    added.shape = std::move(shape);
    added.initial = initial;
    units_.back().parameters.push_back(&added);
    units_.back().size += round_up(added.size(), padding);
    return added;
  }

  /// Gives every unit its two flat buffers, draws the values and zeroes the gradients.
  void allocate(std::uint64_t seed) {
    require(!allocated_, "parameters are allocated twice");
    allocated_ = true;
    using Buffer = typename ShardUnit<T, Space>::Buffer;
    for (auto& unit : units_) {
      unit.values = Buffer("dchag::values " + unit.name, static_cast<std::size_t>(unit.size));
      unit.gradients = Buffer("dchag::gradients " + unit.name, static_cast<std::size_t>(unit.size));
      Index offset = 0;
      for (auto* parameter : unit.parameters) {
        parameter->values = unit.values.data() + offset;
        parameter->gradients = unit.gradients.data() + offset;
        offset += round_up(parameter->size(), padding);
        draw(*parameter, seed);
      }
    }
    Space().fence("dchag::parameters");
  }
  bool allocated() const { return allocated_; }

  void zero_gradients(Context<Space> const& context) const {
    if (context.dry()) return;
    for (auto const& unit : units_) Kokkos::deep_copy(context.space(), unit.gradients, T{0});
  }

  Parameter<T, Space>* find(std::string_view name) {
    for (auto& parameter : parameters_)
      if (parameter.name == name) return &parameter;
    return nullptr;
  }
  std::deque<Parameter<T, Space>> const& all() const { return parameters_; }
  std::vector<ShardUnit<T, Space>> const& units() const { return units_; }

  /// Elements, without padding.
  Index count() const {
    Index total = 0;
    for (auto const& parameter : parameters_) total += parameter.size();
    return total;
  }

  /// Draws the values of one parameter per (seed, name, element).
  static void draw(Parameter<T, Space> const& parameter, std::uint64_t seed) {
    auto const values = parameter.template value<T*>(parameter.size());
    double const mean = parameter.initial.mean, deviation = parameter.initial.deviation;
    std::uint64_t const key = random_key(seed, parameter.name);
    Kokkos::parallel_for(
        "dchag::parameters::draw", Kokkos::RangePolicy<Space, Kokkos::IndexType<Index>>(0, parameter.size()),
        KOKKOS_LAMBDA(Index i) {
          double const drawn = deviation == 0 ? 0 : deviation * random_normal(key, static_cast<std::uint64_t>(i));
          values(i) = static_cast<T>(mean + drawn);
        });
  }

 private:
  std::deque<Parameter<T, Space>> parameters_;
  std::vector<ShardUnit<T, Space>> units_;
  bool allocated_ = false;
};

}  // namespace dchag
