#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/draw.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/placement.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/types.hpp>
#include <dchag/core/unit_use.hpp>
#include <dchag/core/zeros.hpp>
#include <deque>
#include <memory>
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

/// What a rank keeps of every unit between its uses: all of it, or the `index`-th of `count` equal slices. The state of
/// the optimizer is kept by slices.
struct Shard {
  int index = 0, count = 1;
  bool gradients = false, values = false;  // kept by slices too
  bool operator==(Shard const&) const = default;
};

/// One named tensor and its gradient, each a range of a flat buffer. `values` and `gradients` may be read and written
/// from Parameters::allocate() on; where only slices of the unit are kept, in a use of the unit (Parameters::use), and
/// they may stand elsewhere in the next.
template <class T, class Space>
struct Parameter {
  std::string name;
  std::vector<Index> shape;  // of the whole tensor
  Initial initial;
  Placement placement;
  T* values = reinterpret_cast<T*>(std::uintptr_t{1} << 12);  // not to be touched before allocation
  T* gradients = values;
  Index unit = 0, offset = 0;  // the shard unit, and the elements before it there
  struct Kept {
    T* values = nullptr;
    Index first = 0, count = 0;
  };
  Kept kept;  // the elements first .. first + count of those held, which stand there between uses too

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

/// A range of a unit that a rank's optimizer updates: elements begin .. begin + count of the unit, and in buffers of
/// the slice alone, elements from `at` on.
struct OwnedRange {
  Index begin, count, at;
  bool operator==(OwnedRange const&) const = default;
};

/// A run of parameters that are reduced, sharded and optimized together, in one flat buffer: first those that are
/// summed, then those that are copied, then those that are divided.
///
/// The summed ones and the others are cut into slices apart, so that slices of what all model ranks hold are alike on
/// them, whatever is divided.
template <class T, class Space>
struct ShardUnit {
  using Buffer = Kokkos::View<T*, typename Space::device_type>;
  std::string name;
  std::vector<Parameter<T, Space>*> parameters;  // as they were added
  Index size = 0;    // elements, padding between parameters and to equal slices included (the padding stays zero)
  Index summed = 0;  // the first of them are partial sums over the model ranks
  Index shared = 0;  // the first of them stand on every model rank
  Buffer values, gradients;       // of the whole unit, or of the owned ranges one behind the other
  std::vector<OwnedRange> owned;  // all of the unit; the slice where there are several

  /// Elements of the owned ranges.
  Index owned_size() const {
    Index count = 0;
    for (OwnedRange const& range : owned) count += range.count;
    return count;
  }
};

/// All parameters of a model. Layers add theirs when they are built; allocate() then gives them storage.
template <class T, class Space>
class Parameters {
 public:
  using Buffer = typename ShardUnit<T, Space>::Buffer;
  static constexpr Index padding = 32;     // elements: every parameter starts on a boundary of this many
  static constexpr double largest = 1e12;  // elements of one parameter

  Parameters() = default;
  Parameters(Parameters const&) = delete;
  Parameters& operator=(Parameters const&) = delete;

  /// Parameters added from here on belong to this shard unit. Answers its number.
  Index begin_unit(std::string name) {
    units_.emplace_back().name = std::move(name);
    return static_cast<Index>(units_.size()) - 1;
  }

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
    require(!laid_out_, "parameter ", name, " is added after allocation: build every layer before");
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
    added.unit = static_cast<Index>(units_.size()) - 1;
    units_.back().parameters.push_back(&added);
    units_.back().size += round_up(added.size(), padding);
    return added;
  }

  /// What this rank is to keep, and who brings the rest when a unit is used. Before allocate().
  void keep(Shard const& shard, std::shared_ptr<UnitHooks<Space>> hooks) {
    require(!laid_out_, "parameters are sharded after allocation: shard them before");
    require(shard.count >= 1 && shard.index >= 0 && shard.index < shard.count, "shard ", shard.index, " of ",
            shard.count, ": there is none");
    shard_ = shard;
    hooks_ = std::move(hooks);
  }
  Shard const& shard() const { return shard_; }
  void set_hooks(std::shared_ptr<UnitHooks<Space>> hooks) { hooks_ = std::move(hooks); }
  std::shared_ptr<UnitHooks<Space>> const& hooks() const { return hooks_; }

  /// Gives every unit its two flat buffers, draws the values and zeroes the gradients.
  void allocate(std::uint64_t seed) {
    lay_out(true);
    for (auto& unit : units_) {
      for (auto* parameter : unit.parameters) set_kept(unit, *parameter);
      T* const values = shard_.values ? whole_values_[0].data() : unit.values.data();
      if (shard_.values) fill(Space(), whole_values_[0], T{0});
      for (auto* parameter : unit.parameters) draw(*parameter, seed);
      for (OwnedRange const& range : unit.owned)
        if (shard_.values)
          copy(Space(), reshape<T*, Space>(unit.values.data() + range.at, range.count),
               reshape<T*, Space>(values + range.begin, range.count));
    }
    Space().fence("dchag::parameters");
  }

  /// The same without storage: buffers of the sizes that allocate() would give, at addresses that must not be touched.
  void plan() { lay_out(false); }

  bool laid_out() const { return laid_out_; }
  bool allocated() const { return allocated_; }

  /// Says that the parameters of a unit are used until the end of the block, for a forward pass or for a backward one;
  /// the backward passes of a unit to one batch of images are one use.
  UnitUse<Space> use(Context<Space> const& context, Index unit, Pass pass) const {
    if (context.work() != nullptr && pass == Pass::backward) context.work()->begin_backward(context.workspace().used());
    return {hooks_.get(), context, unit, pass};
  }

  /// Values that are kept were written from outside.
  void values_changed() const {
    if (hooks_ != nullptr) hooks_->values_changed();
  }

  /// Rooms for one whole unit each, where slices of values or of gradients are kept: one is used while the other fills
  /// or empties. And room for what arrives of one slice.
  static constexpr std::size_t rooms = 2;
  Buffer const& whole_values(std::size_t room) const { return whole_values_[room]; }
  Buffer const& whole_gradients(std::size_t room) const { return whole_gradients_[room]; }
  Buffer const& arriving() const { return arriving_; }

  /// The parameters of a unit stand in this buffer of the whole unit.
  static void point_values(ShardUnit<T, Space> const& unit, T* whole) {
    for (auto* parameter : unit.parameters) parameter->values = whole + parameter->offset;
  }
  static void point_gradients(ShardUnit<T, Space> const& unit, T* whole) {
    for (auto* parameter : unit.parameters) parameter->gradients = whole + parameter->offset;
  }

  /// The slices of all ranks, of which the owned range is this one's.
  Range section(OwnedRange const& range) const {
    return {range.begin - shard_.index * range.count, shard_.count * range.count};
  }

  /// Where the owned range of a unit is kept.
  T* owned_values(ShardUnit<T, Space> const& unit, OwnedRange const& range) const {
    return unit.values.data() + (shard_.values ? range.at : range.begin);
  }
  T* owned_gradients(ShardUnit<T, Space> const& unit, OwnedRange const& range) const {
    return unit.gradients.data() + (shard_.gradients ? range.at : range.begin);
  }

  /// The part of a parameter that an owned range of its unit holds: elements first .. first + count of those held, from
  /// `at` on in buffers of the slice. None: count is zero.
  struct OwnedPart {
    Index first = 0, count = 0, at = 0, begin = 0;
  };
  static OwnedPart owned_part(ShardUnit<T, Space> const& unit, Parameter<T, Space> const& parameter) {
    for (OwnedRange const& range : unit.owned) {
      Index const from = std::max(range.begin, parameter.offset),
                  to = std::min(range.begin + range.count, parameter.offset + parameter.size());
      if (from < to) return {from - parameter.offset, to - from, range.at + from - range.begin, from};
    }
    return {};
  }

  void zero_gradients(Context<Space> const& context) const {
    for (auto const& unit : units_) context.fill(unit.gradients, T{0});
  }

  /// Of all buffers of values and gradients on this rank.
  std::size_t bytes() const { return value_bytes() + gradient_bytes() + room_bytes(); }
  /// Of the values and of the gradients that are kept, and of the rooms for those that come and go.
  std::size_t value_bytes() const {
    std::size_t elements = 0;
    for (auto const& unit : units_) elements += unit.values.size();
    return elements * sizeof(T);
  }
  std::size_t gradient_bytes() const {
    std::size_t elements = 0;
    for (auto const& unit : units_) elements += unit.gradients.size();
    return elements * sizeof(T);
  }
  std::size_t room_bytes() const {
    std::size_t elements = arriving_.size();
    for (std::size_t room = 0; room < rooms; ++room)
      elements += whole_values_[room].size() + whole_gradients_[room].size();
    return elements * sizeof(T);
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
    auto const draw_range = [&](detail::DrawnRange const& range) {
      detail::draw_range<Space>(random_key(seed, parameter.name), parameter.initial.mean, parameter.initial.deviation,
                                range, parameter.values);
    };
    if (placement.sharing != Sharing::divided) {
      Index const size = parameter.size();
      return draw_range({1, size, 1, {0, size}, 0, size});
    }
    Index before = 0;
    for (Range const& range : placement.ranges) {
      draw_range({placement.outer, placement.extent, placement.inner, range, before, placement.held()});
      before += range.count;
    }
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

  Buffer buffer(std::string const& label, Index size) const {
    return allocated_ ? zeros<T, Space>(label, size)
                      : Buffer(reinterpret_cast<T*>(std::uintptr_t{1} << 12), static_cast<std::size_t>(size));
  }

  void lay_out(bool storage) {
    require(!laid_out_, allocated_ ? "parameters are allocated twice" : "parameters that were planned are allocated");
    laid_out_ = true;
    allocated_ = storage;
    Index largest_unit = 0, largest_slice = 0;
    for (auto& unit : units_) {
      lay_out(unit);
      largest_unit = std::max(largest_unit, unit.size);
      largest_slice = std::max(largest_slice, unit.owned_size());
    }
    for (std::size_t room = 0; room < rooms; ++room) {
      if (shard_.values) whole_values_[room] = buffer("dchag::values of a unit", largest_unit);
      if (shard_.gradients) whole_gradients_[room] = buffer("dchag::gradients of a unit", largest_unit);
    }
    if (shard_.count > 1) arriving_ = buffer("dchag::gradients of a slice", largest_slice);
    for (auto& unit : units_) {
      unit.values = buffer("dchag::values " + unit.name, shard_.values ? unit.owned_size() : unit.size);
      unit.gradients = buffer("dchag::gradients " + unit.name, shard_.gradients ? unit.owned_size() : unit.size);
      point_values(unit, shard_.values ? whole_values_[0].data() : unit.values.data());
      point_gradients(unit, shard_.gradients ? whole_gradients_[0].data() : unit.gradients.data());
    }
  }

  /// The places of a unit's parameters, and what this rank owns of it.
  void lay_out(ShardUnit<T, Space>& unit) const {
    Index const slices = padding * shard_.count;
    Index end = 0;
    auto const place = [&](Sharing sharing) {
      for (auto* parameter : unit.parameters) {
        if (parameter->placement.sharing != sharing) continue;
        parameter->offset = end;
        end += round_up(parameter->size(), padding);
      }
    };
    place(Sharing::summed);
    unit.summed = end = round_up(end, slices);
    place(Sharing::copied);
    unit.shared = end;
    place(Sharing::divided);
    unit.size = round_up(end, slices);
    unit.owned.clear();
    if (shard_.count == 1) {
      unit.owned.push_back({0, unit.size, 0});
      return;
    }
    Index at = 0;
    Range const sections[] = {{0, unit.summed}, {unit.summed, unit.size - unit.summed}};
    for (Range const& section : sections) {
      Index const count = section.count / shard_.count;
      if (count > 0) unit.owned.push_back({section.begin + shard_.index * count, count, at});
      at += count;
    }
  }

  void set_kept(ShardUnit<T, Space> const& unit, Parameter<T, Space>& parameter) const {
    parameter.kept = {parameter.values, 0, parameter.size()};
    if (!shard_.values) return;
    OwnedPart const part = owned_part(unit, parameter);
    parameter.kept = {unit.values.data() + part.at, part.first, part.count};
  }

  std::deque<Parameter<T, Space>> parameters_;
  std::vector<ShardUnit<T, Space>> units_;
  Hold hold_;
  Shard shard_;
  std::shared_ptr<UnitHooks<Space>> hooks_;
  std::array<Buffer, rooms> whole_values_, whole_gradients_;
  Buffer arriving_;
  bool laid_out_ = false, allocated_ = false;
};

}  // namespace dchag
