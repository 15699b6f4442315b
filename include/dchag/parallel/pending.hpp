#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/core/types.hpp>
#include <dchag/parallel/detail/exchange.hpp>
#include <exception>
#include <memory>
#include <utility>

namespace dchag {

class Communicator;

/// A verb of a communicator that has been started. Until wait() returns, what it reads must not be written and what it
/// writes not be touched. Where nobody has waited the destructor does, unless an exception leaves its block: the
/// program then ends without waiting for ranks that may never come. The default, and what one rank or a dry context
/// starts, is nothing to wait for.
template <class Space>
class Pending {
 public:
  Pending() = default;
  Pending(Pending&& other) noexcept { swap(other); }
  /// What this was before is waited for.
  Pending& operator=(Pending&& other) noexcept {
    Pending(std::move(other)).swap(*this);
    return *this;
  }
  ~Pending() {
    if (state_ && std::uncaught_exceptions() <= exceptions_) finish(Space());
  }

  bool waited() const { return state_ == nullptr; }

  /// Returns when the result may be used by the context's kernels. Ranks may wait for several in any order.
  void wait(Context<Space> const& context) {
    if (state_) finish(context.space());
  }

 private:
  friend class Communicator;
  using Memory = View<std::byte*, Space>;

  Pending(std::shared_ptr<detail::CommunicatorState> state, std::size_t exchange)
      : state_(std::move(state)), exchange_(exchange) {}

  /// The result stands in staged memory: `count` elements that are copied when they have arrived.
  template <class T>
  void deliver(T const* arrived, T* result, Index count) {
    arrived_ = reinterpret_cast<std::byte const*>(arrived);
    result_ = Memory(reinterpret_cast<std::byte*>(result), static_cast<std::size_t>(count) * sizeof(T));
  }

  void swap(Pending& other) {
    std::swap(state_, other.state_);
    std::swap(exchange_, other.exchange_);
    std::swap(arrived_, other.arrived_);
    std::swap(result_, other.result_);
    std::swap(exceptions_, other.exceptions_);
  }

  void finish(Space const& space) {
    auto const state = std::move(state_);
    auto& exchange = state->exchanges[exchange_];
    if (state->planned) {
      if (state->work != nullptr) state->work->wait(exchange.item);
      exchange.busy = false;
      return;
    }
    detail::check_mpi(
        MPI_Waitall(static_cast<int>(exchange.requests.size()), exchange.requests.data(), MPI_STATUSES_IGNORE),
        "MPI_Waitall");
    if (result_.size() > 0) {
      copy(space, result_, reshape<std::byte const*, Kokkos::HostSpace>(arrived_, result_.size()));
      space.fence("dchag::communicator::staged");
    }
    exchange.busy = false;
  }

  std::shared_ptr<detail::CommunicatorState> state_;  // none: nothing to wait for
  std::size_t exchange_ = 0;
  std::byte const* arrived_ = nullptr;  // staged: the host memory that is copied to the result
  Memory result_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace dchag
