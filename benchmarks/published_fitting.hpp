#pragma once

#include <algorithm>
#include <cmath>
#include <dchag/planning/published_errors.hpp>
#include <functional>
#include <vector>

namespace dchag::benchmarks {

using Measurements = std::vector<PublishedMeasurement>;

/// A field of T that is fitted.
template <class T>
struct Constant {
  char const* name;
  double T::*value;
  double least = 0;
};

inline std::vector<Constant<PublishedCopies>> const& constants_of_copies() {
  using Copies = PublishedCopies;
  static std::vector<Constant<Copies>> const all{{"moments", &Copies::moments},
                                                 {"update", &Copies::update},
                                                 {"front_parameters", &Copies::front_parameters},
                                                 {"front_gradients", &Copies::front_gradients},
                                                 {"pixels", &Copies::pixels},
                                                 {"tokens", &Copies::tokens},
                                                 {"features", &Copies::features},
                                                 {"outputs", &Copies::outputs},
                                                 {"gathered_own", &Copies::gathered_own},
                                                 {"gathered_all", &Copies::gathered_all},
                                                 {"linear_tokens", &Copies::linear_tokens},
                                                 {"attention_tokens", &Copies::attention_tokens},
                                                 {"attention_unit", &Copies::attention_unit},
                                                 {"attention_places", &Copies::attention_places},
                                                 {"kept_linear", &Copies::kept_linear},
                                                 {"kept_attention", &Copies::kept_attention},
                                                 {"kept_gathered", &Copies::kept_gathered},
                                                 {"recomputed", &Copies::recomputed}};
  return all;
}

/// Constants of time. No rate is beyond what the hardware can do: products at 120 of 191 TFLOP/s (bf16), collectives at
/// 77 GB/s a die within a node and 45 GB/s over two. The artifact's runs that do nothing but gather tokens attain 56 to
/// 70 and 26 to 27 GB/s.
inline std::vector<Constant<PublishedMachine>> const& constants_of_time() {
  using Machine = PublishedMachine;
  static std::vector<Constant<Machine>> const all{{"token_byte", &Machine::token_byte},
                                                  {"channel", &Machine::channel},
                                                  {"product", &Machine::product, 2 / 120e12},
                                                  {"fused_attention", &Machine::fused_attention},
                                                  {"key_byte", &Machine::key_byte},
                                                  {"token_gradient_byte", &Machine::token_gradient_byte},
                                                  {"linear_byte", &Machine::linear_byte},
                                                  {"split_byte", &Machine::split_byte},
                                                  {"near_byte", &Machine::near_byte, 1 / 77e9},
                                                  {"far_byte", &Machine::far_byte, 1 / 45e9},
                                                  {"hop", &Machine::hop},
                                                  {"step", &Machine::step}};
  return all;
}

inline std::vector<Constant<PublishedMachine>> const& constants_of_reserved() {
  using Machine = PublishedMachine;
  static std::vector<Constant<Machine>> const all{{"reserved_parameter", &Machine::reserved_parameter},
                                                  {"reserved_tokens", &Machine::reserved_tokens},
                                                  {"reserved_gib", &Machine::reserved_gib}};
  return all;
}

/// Rows of equations, each row's unknowns and what they should add up to.
struct Equations {
  std::vector<std::vector<double>> row;
  std::vector<double> value;
};

/// Least squares with lower bounds, by turns over the unknowns, from `start`. A trace of ridge draws those that no
/// equation tells from others to their bounds.
inline std::vector<double> least_squares(Equations const& equations, std::vector<double> const& least,
                                         std::vector<double> unknown, double ridge = 0) {
  std::vector<double> rest = equations.value;
  auto const move = [&](std::size_t k, double to) {
    double const step = to - unknown[k];
    for (std::size_t r = 0; r < rest.size(); ++r) rest[r] -= step * equations.row[r][k];
    unknown[k] = to;
    return std::abs(step);
  };
  for (std::size_t r = 0; r < rest.size(); ++r)
    for (std::size_t k = 0; k < unknown.size(); ++k) rest[r] -= unknown[k] * equations.row[r][k];
  for (int turn = 0; turn < 20000; ++turn) {
    double moved = 0;
    for (std::size_t k = 0; k < unknown.size(); ++k) {
      double along = -ridge * unknown[k], square = ridge;
      for (std::size_t r = 0; r < rest.size(); ++r) {
        along += equations.row[r][k] * rest[r];
        square += equations.row[r][k] * equations.row[r][k];
      }
      if (square > 0) moved = std::max(moved, move(k, std::max(least[k], unknown[k] + along / square)));
    }
    if (moved == 0) break;
  }
  return unknown;
}

/// Runs whose predicted memory a count changes.
inline int seen_by(Measurements const& runs, PublishedCopies const& copies, double PublishedCopies::*count) {
  PublishedCopies more = copies;
  more.*count += 0.01;
  return static_cast<int>(std::count_if(runs.begin(), runs.end(), [&](PublishedMeasurement const& measured) {
    return memory_of(measured.run, more).peak().all() != memory_of(measured.run, copies).peak().all();
  }));
}

/// Allocated memory of runs in GiB by counts of copies, in which the largest moment of each is linear; `at` tells which
/// moment that is.
inline Equations memory_equations(Measurements const& runs, PublishedCopies const& at) {
  Equations equations;
  for (PublishedMeasurement const& measured : runs) {
    PublishedMemory const memory = memory_of(measured.run, at);
    auto moment = &PublishedMemory::front;
    for (auto const other : {&PublishedMemory::last, &PublishedMemory::blocks, &PublishedMemory::update})
      if ((memory.*other).all() > (memory.*moment).all()) moment = other;
    auto const gib = [&](PublishedCopies const& copies) {
      return (memory_of(measured.run, copies).*moment).all() / (1 << 30);
    };
    std::vector<double> row;
    double value = measured.allocated / (1 << 30) - gib(at);
    for (auto const& constant : constants_of_copies()) {
      PublishedCopies more = at;
      more.*constant.value += 1.0 / 1024;
      row.push_back(1024 * (gib(more) - gib(at)));
      value += row.back() * at.*constant.value;
    }
    equations.row.push_back(std::move(row));
    equations.value.push_back(value);
  }
  return equations;
}

/// Counts of copies by least squares of allocated bytes: which moment is a run's largest is told by the counts so far,
/// until no better ones are found. From a few starts, in which every count is alike. Counts that no run sees stay as
/// they are known.
inline PublishedCopies fit_copies(Measurements const& runs) {
  auto const& constants = constants_of_copies();
  auto const improved = [&](PublishedCopies const& copies) {
    std::vector<double> start;
    for (auto const& constant : constants) start.push_back(copies.*constant.value);
    return least_squares(memory_equations(runs, copies), std::vector<double>(constants.size(), 0.0), start, 1e-6);
  };
  PublishedCopies best;
  double least = HUGE_VAL;
  for (int const start : {1, 2, 3, 4}) {
    PublishedCopies copies;
    for (auto const& constant : constants) copies.*constant.value = start;
    double here = allocated_squares(runs, copies);
    for (double part = 1; part > 1e-3;) {  // of the way, halved where going all of it is no better
      auto const to = improved(copies);
      PublishedCopies next = copies;
      for (std::size_t k = 0; k < to.size(); ++k)
        next.*constants[k].value += part * (to[k] - copies.*constants[k].value);
      double const there = allocated_squares(runs, next);
      if (there < here * (1 - 1e-9)) {
        copies = next;
        here = there;
        part = 1;
      } else {
        part /= 2;
      }
    }
    if (here < least) {
      best = copies;
      least = here;
    }
  }
  PublishedCopies const known, found = best;
  for (auto const& constant : constants)
    if (seen_by(runs, found, constant.value) == 0) best.*constant.value = known.*constant.value;
  return best;
}

/// The whole numbers nearest to counts, and from there single steps of one as long as one lowers the squares.
inline PublishedCopies whole_copies(Measurements const& runs, PublishedCopies copies) {
  for (auto const& constant : constants_of_copies()) copies.*constant.value = std::round(copies.*constant.value);
  for (double least = allocated_squares(runs, copies);;) {
    PublishedCopies best = copies;
    for (auto const& constant : constants_of_copies())
      for (double const step : {-1.0, 1.0}) {
        PublishedCopies next = copies;
        next.*constant.value += step;
        if (next.*constant.value < 0) continue;
        double const there = allocated_squares(runs, next);
        if (there >= least) continue;
        best = next;
        least = there;
      }
    if (allocated_squares(runs, best) == allocated_squares(runs, copies)) return copies;
    copies = best;
  }
}

/// Least squares of weighted relative errors; what is predicted must be linear in each constant. Those that no run sees
/// stay as they are known.
inline void fit(Measurements const& runs, std::vector<Constant<PublishedMachine>> const& constants,
                std::function<double(PublishedMeasurement const&, PublishedMachine const&)> const& predicted_part,
                PublishedMachine& machine) {
  Equations equations;
  for (PublishedMeasurement const& measured : runs) {
    double const weight = measured.run.whole() ? 1 : 0.5, start = predicted_part(measured, machine);
    equations.value.push_back(weight * (1 - start));
    std::vector<double> row;
    for (auto const& constant : constants) {
      PublishedMachine unit = machine;
      unit.*constant.value = 1;
      row.push_back(weight * (predicted_part(measured, unit) - start));
    }
    equations.row.push_back(std::move(row));
  }
  std::vector<double> least;
  for (auto const& constant : constants) least.push_back(constant.least);
  auto const found = least_squares(equations, least, least);
  for (std::size_t k = 0; k < constants.size(); ++k) {
    bool const seen = std::any_of(equations.row.begin(), equations.row.end(), [&](auto& row) { return row[k] != 0; });
    machine.*constants[k].value = seen ? found[k] : PublishedMachine().*constants[k].value;
  }
}

/// Least squares of one constant that adds seconds to a step; as it is known where no run was added.
class OneConstant {
 public:
  /// A run that takes `measured` seconds, `base` without the constant and `more` for each unit of it.
  void add(double measured, double base, double more) {
    along_ += more / measured * (1 - base / measured);
    square_ += more / measured * more / measured;
  }
  double value(double known) const { return square_ > 0 ? std::max(0.0, along_ / square_) : known; }

 private:
  double along_ = 0, square_ = 0;
};

/// What waiting for other nodes and a stall of the allocator take, and the squares of relative errors with them.
inline double fit_stalls(Measurements const& runs, PublishedCopies const& copies, PublishedMachine& machine) {
  machine.node = machine.near_stall = machine.far_stall = 0;
  OneConstant waiting, near, far;
  for (PublishedMeasurement const& measured : runs) {
    PublishedProfile const profile(measured.run, machine, copies);
    double const base = profile.seconds().all(), nodes = static_cast<double>(profile.nodes() - 1);
    if (measured.run.masked > 0 && !profile.stalls()) waiting.add(measured.seconds(), base, base * nodes);
  }
  machine.node = waiting.value(PublishedMachine().node);
  for (PublishedMeasurement const& measured : runs) {
    PublishedProfile const profile(measured.run, machine, copies);
    double const base = profile.seconds().all();
    double const more = base / (base - profile.seconds().waiting);
    if (profile.stalls()) (profile.nodes() > 1 ? far : near).add(measured.seconds(), base, more);
  }
  machine.near_stall = near.value(PublishedMachine().near_stall);
  machine.far_stall = far.value(PublishedMachine().far_stall);
  double sum = 0;
  for (PublishedMeasurement const& measured : runs)
    sum += std::pow(PublishedProfile(measured.run, machine, copies).seconds().all() / measured.seconds() - 1, 2);
  return sum;
}

/// A machine by the times and reserved memory of runs.
inline PublishedMachine fit_machine(Measurements const& runs, PublishedCopies const& copies) {
  PublishedMachine machine;
  for (auto const& constant : constants_of_time()) machine.*constant.value = 0;
  for (auto const& constant : constants_of_reserved()) machine.*constant.value = 0;
  machine.node = machine.near_stall = machine.far_stall = 0;
  Measurements steady, whole, roomy;
  for (PublishedMeasurement const& measured : runs) {
    if (measured.run.masked == 0 && measured.retries == 0) steady.push_back(measured);
    if (measured.run.whole()) whole.push_back(measured);
    if (measured.run.whole() && measured.retries == 0) roomy.push_back(measured);
  }
  auto const seconds = [&](PublishedMeasurement const& measured, PublishedMachine const& at) {
    return PublishedProfile(measured.run, at, copies).seconds().all() / measured.seconds();
  };
  fit(steady, constants_of_time(), seconds, machine);
  // Which runs stall is read off their times. Of all bounds that tell them apart as well, the one under which most do.
  double least = HUGE_VAL, slack = 0;
  for (int tenths = 0; tenths <= 200; ++tenths) {
    machine.slack_byte = 0.1 * tenths;
    double const sum = fit_stalls(whole, copies, machine);
    if (sum <= least * (1 + 1e-9)) slack = machine.slack_byte;
    least = std::min(least, sum);
  }
  machine.slack_byte = slack;
  fit_stalls(whole, copies, machine);
  auto const reserved = [&](PublishedMeasurement const& measured, PublishedMachine at) {
    at.memory = 1e15;  // as if there were no end of it
    return PublishedProfile(measured.run, at, copies).reserved() / measured.reserved;
  };
  fit(roomy, constants_of_reserved(), reserved, machine);
  return machine;
}

}  // namespace dchag::benchmarks
