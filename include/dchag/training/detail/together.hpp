#pragma once

#include <algorithm>
#include <dchag/core/error.hpp>
#include <dchag/parallel/communicator.hpp>
#include <exception>
#include <string>
#include <vector>

namespace dchag::detail {

/// action() on every rank. Where it throws on some, all throw what the first of them threw.
template <class Action>
void together(Communicator const& world, Action const& action) {
  if (world.size() == 1) return action();
  std::string message;
  try {
    action();
  } catch (std::exception const& error) {
    message = error.what();
    if (message.empty()) message = "an exception without a message";
  }
  std::vector<std::string> const messages = world.all_gather(message);
  auto const first = std::find_if(messages.begin(), messages.end(), [](auto const& text) { return !text.empty(); });
  if (first != messages.end()) fail(*first, " (rank ", first - messages.begin(), ")");
}

}  // namespace dchag::detail
