#pragma once

#include <cstddef>
#include <dchag/core/types.hpp>
#include <optional>
#include <vector>

namespace dchag {

/// What a loop costs besides being started: numbers that it must move between memory and the processor (each operand
/// once), in bytes, and its multiply-adds where it is more than a pass over memory. An exponential counts for about
/// twenty. Loops over a few numbers say nothing.
struct LoopCost {
  double bytes = 0, multiply_adds = 0;
};

/// Of a loop that moves that many numbers.
template <class T>
constexpr LoopCost moves(Index numbers, Index multiply_adds = 0) {
  return {static_cast<double>(numbers) * static_cast<double>(sizeof(T)), static_cast<double>(multiply_adds)};
}

/// The ranks of a collective, seen from the job: `count` of them, `stride` ranks of the job apart.
struct RankGroup {
  char const* axis = "";  // of the mesh
  int count = 1, stride = 1;
  bool operator==(RankGroup const&) const = default;
};

/// One thing that a step does on a rank.
struct WorkItem {
  enum class Kind {
    product,  // count times C [rows, columns] from operands of `inner`
    loop,
    verb,   // a collective that is waited for at once
    start,  // a collective that is waited for later
    wait    // for the item number `of`
  };
  Kind kind = Kind::loop;
  char const* name = "";  // of the loop or the verb
  Index count = 1, rows = 0, inner = 0, columns = 0;
  double bytes = 0;  // moved by a product or a loop, counting each operand once; handed over to a verb
  double multiply_adds = 0;
  RankGroup group{};     // of a verb
  std::size_t of = 0;    // of a wait
  Index launches = 1;    // of kernels on a device, by a product or a loop
  bool rounded = false;  // the operands of a product are bfloat16
};

/// What a step does on a rank, item by item in order, told by the context that the step runs in over sizes alone (see
/// Context). What a Work says is what the code that really runs would do: nothing else describes a step.
class Work {
 public:
  /// Of numbers of `scalar` bytes, in `calls` calls.
  void product(Index count, Index rows, Index inner, Index columns, std::size_t scalar, Index calls) {
    add_product(count, rows, inner, columns, scalar, scalar);
    items_.back().launches = calls;
  }
  /// Of operands rounded to bfloat16, which take `operand` bytes a number, to results in float, in `calls` calls.
  void rounded_product(Index count, Index rows, Index inner, Index columns, std::size_t operand, Index calls) {
    add_product(count, rows, inner, columns, operand, sizeof(float));
    items_.back().launches = calls;
    items_.back().rounded = true;
  }
  void loop(char const* label, LoopCost const& cost) {
    items_.push_back({WorkItem::Kind::loop, label, 1, 0, 0, 0, cost.bytes, cost.multiply_adds});
  }
  /// Answers the number of the item, to be waited for where the verb is started.
  std::size_t verb(char const* name, RankGroup const& group, double bytes, bool started) {
    WorkItem item{started ? WorkItem::Kind::start : WorkItem::Kind::verb, name};
    item.bytes = bytes;
    item.group = group;
    items_.push_back(item);
    return items_.size() - 1;
  }
  void wait(std::size_t of) {
    WorkItem item{WorkItem::Kind::wait};
    item.of = of;
    items_.push_back(item);
  }

  /// A backward pass begins, with that many bytes of the workspace in use: the first one of a step counts.
  void begin_backward(std::size_t workspace) {
    if (!kept_) kept_ = workspace;
  }
  /// Bytes of the workspace that the forward pass has left for the backward pass.
  std::size_t kept() const { return kept_.value_or(0); }

  std::vector<WorkItem> const& items() const { return items_; }

 private:
  void add_product(Index count, Index rows, Index inner, Index columns, std::size_t operand, std::size_t result) {
    double const n = static_cast<double>(count), m = static_cast<double>(rows), k = static_cast<double>(inner),
                 c = static_cast<double>(columns);
    items_.push_back({WorkItem::Kind::product, "product", count, rows, inner, columns,
                      n * ((m * k + k * c) * static_cast<double>(operand) + m * c * static_cast<double>(result)),
                      n * m * k * c});
  }

  std::vector<WorkItem> items_;
  std::optional<std::size_t> kept_;
};

}  // namespace dchag
