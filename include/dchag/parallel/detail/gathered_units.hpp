#pragma once

#include <array>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/communicator.hpp>
#include <vector>

namespace dchag::detail {

/// Units whose values are kept by slices, gathered over the shard axis when they are used: into one of two rooms, while
/// the unit in the other one is in use.
template <class T, class Space>
class GatheredUnits {
 public:
  explicit GatheredUnits(Parameters<T, Space>& parameters) : parameters_(&parameters) {}

  /// One use after the other, in the order of a batch: which unit is gathered ahead while another one computes.
  void begin_plan() {
    next_.assign(parameters_->units().size(), {-1, -1});
    planned_ = -1;
  }
  void plan(Index unit, Pass pass) {
    if (planned_ >= 0 && planned_ != unit && planned_pass_ == pass) next(planned_, pass) = unit;
    planned_ = unit;
    planned_pass_ = pass;
  }

  /// The parameters of the unit point to its values, all there; the next one is on its way.
  void use(Context<Space> const& context, Communicator const& ranks, Index unit, Pass pass) {
    std::size_t room = room_of(unit);
    if (room == none) start(context, ranks, unit, room = other());
    wait(context, room);
    in_use_ = room;
    Parameters<T, Space>::point_values(of(unit), whole(room));
    Index const ahead = next_.empty() ? -1 : next(unit, pass);
    if (ahead >= 0 && room_of(ahead) == none) start(context, ranks, ahead, other());
  }

  /// What has been gathered is not what is kept any more.
  void forget() {
    for (Room& room : rooms_) room = {};
  }

 private:
  struct Room {
    Index unit = -1;
    std::array<Pending<Space>, 2> arriving;  // by owned range
  };
  static constexpr std::size_t none = 2;

  ShardUnit<T, Space> const& of(Index unit) const { return parameters_->units()[static_cast<std::size_t>(unit)]; }
  Index& next(Index unit, Pass pass) { return next_[static_cast<std::size_t>(unit)][pass == Pass::forward ? 0 : 1]; }
  T* whole(std::size_t room) const { return parameters_->whole_values(room).data(); }
  std::size_t other() const { return 1 - in_use_; }
  std::size_t room_of(Index unit) const { return rooms_[0].unit == unit ? 0 : rooms_[1].unit == unit ? 1 : none; }

  void start(Context<Space> const& context, Communicator const& ranks, Index number, std::size_t room) {
    wait(context, room);
    rooms_[room].unit = -1;
    auto const& unit = of(number);
    for (std::size_t i = 0; i < unit.owned.size(); ++i) {
      OwnedRange const& range = unit.owned[i];
      rooms_[room].arriving[i] = ranks.start_all_gather(
          context, reshape<T*, Space>(unit.values.data() + range.at, range.count),
          reshape<T*, Space>(whole(room) + parameters_->section(range).begin, parameters_->section(range).count));
    }
    rooms_[room].unit = number;
  }
  void wait(Context<Space> const& context, std::size_t room) {
    for (auto& arriving : rooms_[room].arriving) arriving.wait(context);
  }

  Parameters<T, Space>* parameters_;
  std::array<Room, Parameters<T, Space>::rooms> rooms_;
  std::size_t in_use_ = 0;
  std::vector<std::array<Index, 2>> next_;  // the unit that follows in the same pass, by pass; -1: none
  Index planned_ = -1;
  Pass planned_pass_ = Pass::forward;
};

}  // namespace dchag::detail
