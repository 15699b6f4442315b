#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <dchag/core/types.hpp>
#include <dchag/core/work.hpp>
#include <dchag/parallel/detail/mpi.hpp>
#include <dchag/parallel/traffic.hpp>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dchag {

/// Which memory goes through a host buffer on its way to MPI: none where MPI reads device memory, that of devices where
/// it does not. `always` stages host memory too: the same path, to be tried without a device.
enum class Staging { never, device, always };

namespace detail {

/// One call of a verb: the requests of what it has started, and the host memory that MPI works on where it is staged.
/// Both are kept for the next call.
struct Exchange {
  using Memory = Kokkos::View<std::byte*, Kokkos::SharedHostPinnedSpace>;

  Memory memory;
  std::vector<MPI_Request> requests;
  bool busy = false;
  std::size_t item = 0;  // of the Work, where it is planned

  std::byte* staged(std::size_t bytes) {
    if (memory.size() < bytes) {
      memory = Memory();
      memory = Memory(Kokkos::view_alloc(Kokkos::WithoutInitializing, "dchag::communicator"), bytes);
    }
    return memory.data();
  }
};

/// MPI has each collective twice: one that returns when it is done, and one that is started and waited for. Libraries
/// do not make the first of the second: it is up to twice as fast.
enum class Form { blocking, started };

/// Calls MPI for one exchange.
struct Caller {
  Form form;
  Exchange& exchange;

  template <class Blocking, class Started, class... Arguments>
  void operator()(char const* name, Blocking blocks, Started starts, Arguments... arguments) const {
    if (form == Form::blocking) return check_mpi(blocks(arguments...), name);
    check_mpi(starts(arguments..., &exchange.requests.emplace_back(MPI_REQUEST_NULL)), name);
  }
};

/// call(first, size) for pieces of a count that MPI's int may not hold.
template <class Call>
void for_pieces(Index count, Call const& call, Index largest = Index{1} << 30) {
  for (Index first = 0; first < count; first += largest)
    call(first, static_cast<int>(std::min(largest, count - first)));
}

/// What the copies of a communicator, and its exchanges under way, share. Never made for one rank.
struct CommunicatorState {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0, size = 1;
  Staging staging = Staging::device;
  Traffic traffic;
  std::vector<PhaseTraffic> phases;
  std::vector<Exchange> exchanges;
  std::optional<RankGroup> planned;  // none: a real communicator
  Work* work = nullptr;              // told of what a planned one would send

  CommunicatorState() = default;
  CommunicatorState(CommunicatorState const&) = delete;
  CommunicatorState& operator=(CommunicatorState const&) = delete;
  ~CommunicatorState() {
    // Freeing is collective: an exception on its way up must not wait for ranks that do not come here.
    if (comm != MPI_COMM_NULL && std::uncaught_exceptions() == 0 && !mpi_finalized()) MPI_Comm_free(&comm);
  }

  /// The first exchange that is free: a step that repeats itself finds the same one, large enough, for each of its
  /// calls.
  std::size_t take_exchange() {
    auto const free = std::find_if(exchanges.begin(), exchanges.end(), [](Exchange const& e) { return !e.busy; });
    auto const index = static_cast<std::size_t>(free - exchanges.begin());
    if (free == exchanges.end()) exchanges.emplace_back();
    exchanges[index].busy = true;
    exchanges[index].requests.clear();
    return index;
  }

  std::size_t take_planned(std::size_t item) {
    std::size_t const index = take_exchange();
    exchanges[index].item = item;
    return index;
  }

  /// Answers the number of the item in the Work, where there is one to tell.
  std::size_t count(Traffic::Verb Traffic::*verb, std::size_t bytes, Form form = Form::blocking, Index broadcast = 0) {
    for (Traffic* const counted : {&traffic, &phase(Phase::innermost())}) {
      ++(counted->*verb).calls;
      (counted->*verb).bytes += static_cast<Index>(bytes);
    }
    return work == nullptr
               ? 0
               : work->verb(Traffic::name(verb), *planned,
                            static_cast<double>(verb == &Traffic::broadcast ? broadcast : static_cast<Index>(bytes)),
                            form == Form::started);
  }

  void reset_traffic() {
    traffic.reset();
    phases.clear();
  }

 private:
  Traffic& phase(std::string_view name) {
    auto const same =
        std::find_if(phases.begin(), phases.end(), [&](PhaseTraffic const& p) { return p.phase == name; });
    if (same != phases.end()) return same->traffic;
    return phases.emplace_back(PhaseTraffic{std::string(name), {}}).traffic;
  }
};

}  // namespace detail
}  // namespace dchag
