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

/// How the model ranks of a replica hold a parameter.
enum class Sharing {
  copied,  // every rank holds it, and computes the whole gradient
  summed,  // every rank holds it, and computes a part of the gradient: the ranks' sum is the gradient
  divided  // every rank holds a part of it, and computes the gradient of that part
};

/// What a rank holds of a tensor that is divided: `count` entries from `begin` of one of its axes, for each range.
struct Range {
  Index begin, count;
  bool operator==(Range const&) const = default;
};

/// Where a parameter stands. The tensor in memory is seen as [outer, extent, inner] and divided along the middle axis;
/// what is held stands in the order of the ranges.
struct Placement {
  Sharing sharing = Sharing::copied;
  Index outer = 1, extent = 1, inner = 1;  // read where divided
  std::vector<Range> ranges{};

  /// The entries of the ranges, of a tensor [outer, extent, inner].
  static Placement divided(Index outer, Index extent, Index inner, std::vector<Range> ranges) {
    return {Sharing::divided, outer, extent, inner, std::move(ranges)};
  }
  static Placement summed() { return {Sharing::summed}; }

  /// Entries of the middle axis that are held.
  Index held() const {
    Index count = 0;
    for (Range const& range : ranges) count += range.count;
    return count;
  }
};

/// One named tensor and its gradient, each a range of a flat buffer. `values` and `gradients` may be read
/// and written from Parameters::allocate() on.
template <class T, class Space>
struct Parameter {
  std::string name;
  std::vector<Index> shape;  // of the whole tensor
  Initial initial;
  Placement placement;
  T* values = reinterpret_cast<T*>(std::uintptr_t{1} << 12);  // not to be touched before allocation
  T* gradients = values;

  /// Elements of the whole tensor.
  Index whole_size() const {
    Index count = 1;
    for (Index extent : shape) count *= extent;
    return count;
  }
  /// Elements that this rank holds.
  Index size() const {
    return placement.sharing == Sharing::divided ? placement.outer * placement.held() * placement.inner : whole_size();
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
  static constexpr Index padding = 32;     // elements: every parameter starts on a boundary of this many
  static constexpr double largest = 1e12;  // elements of one parameter

  Parameters() = default;
  Parameters(Parameters const&) = delete;
  Parameters& operator=(Parameters const&) = delete;

  /// Parameters added from here on belong to this shard unit.
  void begin_unit(std::string name) { units_.push_back({std::move(name), {}, 0, {}, {}}); }

  /// Until the object that it answers is gone, parameters added without a placement are held so: `divided` with `here`
  /// means whole on this rank, and without on another.
  [[nodiscard]] auto hold(Sharing sharing, bool here = true) {
    struct Restore {
      Parameters* parameters;
      Hold before;
      Restore(Parameters* parameters, Hold before) : parameters(parameters), before(before) {}
      Restore(Restore const&) = delete;
      Restore& operator=(Restore const&) = delete;
      ~Restore() { parameters->hold_ = before; }
    };
    Hold const before = hold_;
    hold_ = {sharing, here};
    return Restore(this, before);
  }

  /// The reference stays valid for the life of this object. Throws on a name used before and on absurd sizes.
  Parameter<T, Space>& add(std::string name, std::vector<Index> shape, Initial initial, Placement placement = {}) {
    require(find(name) == nullptr, "parameter ", name, " is added twice: give each layer a name of its own");
    require(!allocated_, "parameter ", name, " is added after allocation: build every layer before");
    double elements = 1;
    for (Index extent : shape) elements *= static_cast<double>(extent);
    require(elements < largest, "parameter ", name, " would have ", elements,
            " elements: check the sizes of the configuration");
    if (units_.empty()) begin_unit("model");
    Parameter<T, Space>& added = parameters_.emplace_back();
    added.name = std::move(name);
    added.shape = std::move(shape);
    added.initial = initial;
    added.placement = placed(std::move(placement), added.whole_size());
    require(added.placement.sharing != Sharing::divided ||
                added.placement.outer * added.placement.extent * added.placement.inner == added.whole_size(),
            "parameter ", added.name, ": is divided as ", added.placement.outer, " x ", added.placement.extent, " x ",
            added.placement.inner, " elements, but has ", added.whole_size());
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

  /// Elements that this rank holds, without padding.
  Index count() const {
    Index total = 0;
    for (auto const& parameter : parameters_) total += parameter.size();
    return total;
  }

  /// Draws the values of one parameter per (seed, name, element of the whole tensor).
  static void draw(Parameter<T, Space> const& parameter, std::uint64_t seed) {
    Placement const& placement = parameter.placement;
    if (placement.sharing != Sharing::divided) {
      Index const size = parameter.size();
      return draw_range(parameter, seed, {1, size, 1, {0, size}, 0, size});
    }
    Index before = 0;
    for (Range const& range : placement.ranges) {
      draw_range(parameter, seed,
                 {placement.outer, placement.extent, placement.inner, range, before, placement.held()});
      before += range.count;
    }
  }

  /// One range of the middle axis of a tensor [outer, extent, inner]; it stands behind `before` of `held` entries.
  struct DrawnRange {
    Index outer, extent, inner;
    Range range;
    Index before, held;
  };
  static void draw_range(Parameter<T, Space> const& parameter, std::uint64_t seed, DrawnRange const& drawn) {
    T* const values = parameter.values;
    double const mean = parameter.initial.mean, deviation = parameter.initial.deviation;
    std::uint64_t const key = random_key(seed, parameter.name);
    Kokkos::parallel_for(
        "dchag::parameters::draw",
        Kokkos::RangePolicy<Space, Kokkos::IndexType<Index>>(0, drawn.outer * drawn.range.count * drawn.inner),
        KOKKOS_LAMBDA(Index i) {
          Index const in = i % drawn.inner, entry = i / drawn.inner % drawn.range.count,
                      out = i / drawn.inner / drawn.range.count;
          Index const element = (out * drawn.extent + drawn.range.begin + entry) * drawn.inner + in;
          double const normal = deviation == 0 ? 0 : random_normal(key, static_cast<std::uint64_t>(element));
          values[(out * drawn.held + drawn.before + entry) * drawn.inner + in] =
              static_cast<T>(mean + deviation * normal);
        });
  }

 private:
  struct Hold {
    Sharing sharing = Sharing::copied;
    bool here = true;
  };
  Placement placed(Placement placement, Index size) const {
    if (placement.sharing != Sharing::copied) return placement;
    if (hold_.sharing != Sharing::divided) return {hold_.sharing};
    return Placement::divided(1, 1, size, hold_.here ? std::vector<Range>{{0, 1}} : std::vector<Range>{});
  }

  std::deque<Parameter<T, Space>> parameters_;
  std::vector<ShardUnit<T, Space>> units_;
  Hold hold_;
  bool allocated_ = false;
};

}  // namespace dchag
