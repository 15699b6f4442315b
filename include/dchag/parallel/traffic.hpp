#pragma once

#include <algorithm>
#include <array>
#include <dchag/core/context.hpp>
#include <dchag/core/types.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace dchag {

/// How often each verb of a communicator was called, and how many bytes this rank handed over in it: the buffer it
/// sends from, whatever MPI makes of it.
struct Traffic {
  struct Verb {
    Index calls = 0;
    Index bytes = 0;
    bool operator==(Verb const&) const = default;
  };
  Verb all_reduce, all_gather, reduce_scatter, all_to_all, broadcast, barrier;

  /// f(name, Verb const&) for each verb.
  template <class F>
  void each(F const& f) const {
    for (auto const verb : verbs()) f(name(verb), this->*verb);
  }
  static char const* name(Verb Traffic::*verb) {
    constexpr char const* names[] = {"all_reduce", "all_gather", "reduce_scatter",
                                     "all_to_all", "broadcast",  "barrier"};
    auto const all = verbs();
    return names[std::find(all.begin(), all.end(), verb) - all.begin()];
  }

  Index calls() const { return total(&Verb::calls); }
  Index bytes() const { return total(&Verb::bytes); }
  void reset() { *this = {}; }
  bool operator==(Traffic const&) const = default;

 private:
  static std::array<Verb Traffic::*, 6> verbs() {
    return {&Traffic::all_reduce, &Traffic::all_gather, &Traffic::reduce_scatter,
            &Traffic::all_to_all, &Traffic::broadcast,  &Traffic::barrier};
  }

  Index total(Index Verb::*field) const {
    Index sum = 0;
    for (auto const verb : verbs()) sum += (this->*verb).*field;
    return sum;
  }
};

/// What was sent while a Phase of that name was the innermost; the empty name is outside of all.
struct PhaseTraffic {
  std::string phase;
  Traffic traffic;
};

/// Names what is done until the end of the block, for Kokkos Tools (it is a Region) and for the traffic of all
/// communicators: a verb counts for the innermost phase that it is called, or started, in. Phases of one name are one.
/// The name must outlive the block. A thread has its own phases.
class Phase {
 public:
  explicit Phase(char const* name) : region_(name), outer_(std::exchange(innermost_, name)) {}
  Phase(Phase const&) = delete;
  Phase& operator=(Phase const&) = delete;
  ~Phase() { innermost_ = outer_; }

  static std::string_view innermost() { return innermost_; }

 private:
  static inline thread_local char const* innermost_ = "";

  Region region_;
  char const* outer_;
};

}  // namespace dchag
