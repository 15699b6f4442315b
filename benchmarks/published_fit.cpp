// Fits the constants of PublishedMachine to runs of the published code: benchmark_published_fit TABLE, which has the
// columns of read_published_runs (tests/planning/published_runs.csv). Prints them and, run by run, the errors.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <dchag/planning/published.hpp>
#include <dchag/planning/published_table.hpp>
#include <string>
#include <vector>

namespace {

using namespace dchag;

struct Constant {
  char const* name;
  double PublishedMachine::*value;
  double least;  // no better than the hardware can do
};

// No rate beyond what the hardware can do: products at 120 of 191 TFLOP/s (bf16), collectives at 77 GB/s a die within a
// node and 45 GB/s over two. The artifact's runs that do nothing but gather tokens attain 56 to 70 and 26 to 27 GB/s.
constexpr Constant constants[] = {{"token_byte", &PublishedMachine::token_byte, 0},
                                  {"channel", &PublishedMachine::channel, 0},
                                  {"product", &PublishedMachine::product, 2 / 120e12},
                                  {"fused_attention", &PublishedMachine::fused_attention, 0},
                                  {"key_byte", &PublishedMachine::key_byte, 0},
                                  {"token_gradient_byte", &PublishedMachine::token_gradient_byte, 0},
                                  {"linear_byte", &PublishedMachine::linear_byte, 0},
                                  {"split_byte", &PublishedMachine::split_byte, 0},
                                  {"near_byte", &PublishedMachine::near_byte, 1 / 77e9},
                                  {"far_byte", &PublishedMachine::far_byte, 1 / 45e9},
                                  {"hop", &PublishedMachine::hop, 0},
                                  {"step", &PublishedMachine::step, 0}};

constexpr Constant of_reserved[] = {{"reserved_parameter", &PublishedMachine::reserved_parameter, 0},
                                    {"reserved_tokens", &PublishedMachine::reserved_tokens, 0},
                                    {"reserved_gib", &PublishedMachine::reserved_gib, 0}};

/// A machine that takes no time but what is not fitted, and reserves no memory.
PublishedMachine free_machine() {
  PublishedMachine machine;
  for (Constant const& constant : constants) machine.*constant.value = 0;
  for (Constant const& constant : of_reserved) machine.*constant.value = 0;
  machine.node = machine.near_stall = machine.far_stall = 0;
  return machine;
}

/// Least squares of weighted relative errors under lower bounds, by turns over the constants; what is predicted must be
/// linear in each: predict(measured, machine) over what was measured.
template <std::size_t Count, class Predict>
void fit(std::vector<PublishedMeasurement> const& runs, Constant const (&constants)[Count], Predict const& predict,
         PublishedMachine& machine) {
  std::vector<double> rest, weight;  // what is left of a relative value of 1
  std::vector<std::vector<double>> column(Count);
  for (PublishedMeasurement const& measured : runs) {
    double const start = predict(measured, machine);
    rest.push_back(1 - start);
    weight.push_back(measured.run.whole() ? 1 : 0.25);
    for (std::size_t k = 0; k < Count; ++k) {
      PublishedMachine unit = machine;
      unit.*constants[k].value = 1;
      column[k].push_back(predict(measured, unit) - start);
    }
  }
  std::vector<double> value(Count, 0);
  auto const move = [&](std::size_t k, double to) {
    for (std::size_t r = 0; r < runs.size(); ++r) rest[r] -= (to - value[k]) * column[k][r];
    value[k] = to;
  };
  for (std::size_t k = 0; k < Count; ++k) move(k, constants[k].least);
  for (int turn = 0; turn < 20000; ++turn) {
    for (std::size_t k = 0; k < Count; ++k) {
      double along = 0, square = 0;
      for (std::size_t r = 0; r < runs.size(); ++r) {
        along += weight[r] * column[k][r] * rest[r];
        square += weight[r] * column[k][r] * column[k][r];
      }
      if (square > 0) move(k, std::max(constants[k].least, value[k] + along / square));
    }
  }
  for (std::size_t k = 0; k < Count; ++k) machine.*constants[k].value = value[k];
}

/// What a node more adds to a step: least squares over the fitted runs on several nodes that do not stall.
void fit_waiting(std::vector<PublishedMeasurement> const& runs, PublishedMachine& machine) {
  double along = 0, square = 0;
  for (PublishedMeasurement const& measured : runs) {
    PublishedProfile const profile(measured.run, machine);
    if (measured.run.masked == 0 || profile.stalls()) continue;
    double const base = profile.seconds().all() / measured.seconds();
    double const column = base * static_cast<double>(measured.run.ranks() / machine.dies_a_node - 1);
    along += column * (1 - base);
    square += column * column;
  }
  machine.node = along / square;
}

/// What a stall takes: least squares over the runs of the table that stall, within a node or over several.
void fit_stall(std::vector<PublishedMeasurement> const& runs, bool far, PublishedMachine& machine) {
  double along = 0, square = 0;
  for (PublishedMeasurement const& measured : runs) {
    PublishedProfile const profile(measured.run, machine);
    if (!profile.stalls() || (measured.run.ranks() > machine.dies_a_node) != far) continue;
    double const waiting = profile.seconds().all() / (profile.seconds().all() - profile.seconds().waiting);
    double const column = waiting / measured.seconds();
    along += column * (1 - profile.seconds().all() / measured.seconds());
    square += column * column;
  }
  require(square > 0, "no run of the table stalls ", far ? "over several nodes" : "within a node");
  (far ? machine.far_stall : machine.near_stall) = along / square;
}

void print_errors(std::vector<PublishedMeasurement> const& runs, PublishedMachine const& machine) {
  for (PublishedMeasurement const& measured : runs) {
    PublishedProfile const profile(measured.run, machine);
    PublishedRun const& run = measured.run;
    std::printf(
        "%-24s part %d D %5lld C %5lld TP %2lld FSDP %lld DP %2lld units %lld: GiB %6.2f (%+5.1f%%) seconds "
        "%7.3f (%+5.1f%%) retries %d%s\n",
        name_of(run.method), static_cast<int>(run.part), static_cast<long long>(run.embed),
        static_cast<long long>(run.channels), static_cast<long long>(run.tensor), static_cast<long long>(run.shard),
        static_cast<long long>(run.data), static_cast<long long>(run.units), measured.allocated / (1 << 30),
        100 * (profile.memory().peak().all() / measured.allocated - 1), measured.seconds(),
        100 * (profile.seconds().all() / measured.seconds() - 1), measured.retries, profile.stalls() ? " stalls" : "");
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Fits the constants of PublishedMachine to a table of runs and prints the errors."};
  std::string table;
  app.add_option("table", table, "CSV with the columns of read_published_runs")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    auto const runs = read_published_runs(table);
    std::vector<PublishedMeasurement> steady, several_nodes, one_node, roomy;
    for (auto const& measured : runs) {
      if (!fitted(measured)) continue;
      if (measured.run.ranks() <= 8) one_node.push_back(measured);
      if (measured.run.masked > 0) several_nodes.push_back(measured);
      if (measured.run.masked == 0 && measured.retries == 0) steady.push_back(measured);
      if (measured.run.whole() && measured.retries == 0) roomy.push_back(measured);
    }
    PublishedMachine machine = free_machine();
    fit(
        steady, constants,
        [](auto const& measured, auto const& at) {
          return PublishedProfile(measured.run, at).seconds().all() / measured.seconds();
        },
        machine);
    fit_waiting(several_nodes, machine);
    fit_stall(several_nodes, true, machine);
    fit_stall(one_node, false, machine);
    fit(
        roomy, of_reserved,
        [](auto const& measured, PublishedMachine at) {
          at.memory = 1e15;  // as if there were no end of it
          return PublishedProfile(measured.run, at).reserved() / measured.reserved;
        },
        machine);
    std::printf("%zu runs fitted, %zu more for waiting and stalls\n", steady.size(), several_nodes.size());
    for (Constant const& constant : constants) std::printf("%s = %.3g\n", constant.name, machine.*constant.value);
    for (Constant const& constant : of_reserved) std::printf("%s = %.2g\n", constant.name, machine.*constant.value);
    std::printf("node = %.2g\nnear_stall = %.2g\nfar_stall = %.2g\n", machine.node, machine.near_stall,
                machine.far_stall);
    print_errors(runs, machine);
  } catch (Error const& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
