#pragma once

#include <dchag/dchag.hpp>
#include <dchag/planning/plan.hpp>
#include <string>

#include "space.hpp"

namespace dchag::tests {

/// The message of the Error that an action throws; empty: it throws none.
template <class Action>
std::string message_of(Action const& action) {
  try {
    action();
  } catch (Error const& error) {
    return error.what();
  }
  return {};
}

template <class... Policies>
using Planned = Forecaster<dchag::Space<Space>, Policies...>;

inline ForecasterConfig planned_config() {
  return {.channels = 16,
          .out_channels = 3,
          .height = 16,
          .width = 32,
          .patch = 2,
          .embed = 64,
          .heads = 8,
          .depth = 3,
          .decoder_depth = 1};
}

}  // namespace dchag::tests
