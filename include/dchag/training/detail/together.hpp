#pragma once

#include <Kokkos_Core.hpp>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/parallel/communicator.hpp>
#include <exception>
#include <string>

namespace dchag::detail {

/// The text of rank `root`, on every rank.
inline std::string broadcast_text(Communicator const& world, std::string text, int root) {
  if (world.size() == 1) return text;
  using Host = Kokkos::DefaultHostExecutionSpace;
  Workspace<Host> workspace(0);
  Context<Host> const context(workspace);
  text.resize(world.all_reduce(world.rank() == root ? text.size() : std::size_t{0}, Reduction::max));
  world.broadcast(context, reshape<char*, Host>(text.data(), text.size()), root);
  return text;
}

/// action() on every rank. Where it throws on some, all throw what the first of them threw.
template <class Action>
void together(Communicator const& world, Action const& action) {
  if (world.size() == 1) return action();
  int failed = 0;  // the ranks from the last down to the first that failed
  std::string message;
  try {
    action();
  } catch (std::exception const& error) {
    failed = world.size() - world.rank();
    message = error.what();
  }
  failed = world.all_reduce(failed, Reduction::max);
  if (failed == 0) return;
  int const first = world.size() - failed;
  fail(broadcast_text(world, message, first), " (rank ", first, ")");
}

}  // namespace dchag::detail
