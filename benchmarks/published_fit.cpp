// Fits PublishedCopies and PublishedMachine to a part of the runs of the published code and prints the errors of that
// part and of the rest: benchmark_published_fit TABLE, which has the columns of read_published_runs
// (tests/planning/published_runs.csv). Then the same with other parts; --runs prints the errors run by run.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <dchag/planning/published_errors.hpp>
#include <string>

#include "published_fitting.hpp"

namespace {

using namespace dchag;
using benchmarks::Measurements;

template <class Choice>
Measurements chosen_of(Measurements const& runs, Choice const& choice) {
  Measurements chosen;
  for (PublishedMeasurement const& measured : runs)
    if (choice(measured)) chosen.push_back(measured);
  return chosen;
}

struct Fit {
  PublishedCopies exact, copies;  // by least squares; whole numbers
  PublishedMachine machine;
};

Fit fit_to(Measurements const& runs) {
  Fit fit;
  fit.exact = benchmarks::fit_copies(runs);
  fit.copies = benchmarks::whole_copies(runs, fit.exact);
  auto const steady = [](PublishedMeasurement const& measured) { return !disturbed(measured); };
  fit.machine = benchmarks::fit_machine(chosen_of(runs, steady), fit.copies);
  return fit;
}

void print_constants(Measurements const& runs, Fit const& fit) {
  PublishedCopies const known;
  for (auto const& count : benchmarks::constants_of_copies())
    std::printf("%s = %.0f (%.3f by least squares, in %d runs)%s\n", count.name, fit.copies.*count.value,
                fit.exact.*count.value, benchmarks::seen_by(runs, fit.exact, count.value),
                fit.copies.*count.value == known.*count.value ? "" : ": not PublishedCopies'");
  for (auto const& constant : benchmarks::constants_of_time())
    std::printf("%s = %.3g\n", constant.name, fit.machine.*constant.value);
  for (auto const& constant : benchmarks::constants_of_reserved())
    std::printf("%s = %.2g\n", constant.name, fit.machine.*constant.value);
  std::printf("node = %.2g\nnear_stall = %.2g\nfar_stall = %.2g\nslack_byte = %.3g\n", fit.machine.node,
              fit.machine.near_stall, fit.machine.far_stall, fit.machine.slack_byte);
}

template <class Choice>
void print_errors(char const* title, Measurements const& runs, Choice const& choice, Fit const& fit) {
  PublishedErrors const errors = published_errors(runs, choice, fit.machine, fit.copies);
  for (auto const& [name, some] : {std::pair("allocated", &errors.allocated),
                                   {"reserved", &errors.reserved},
                                   {"seconds", &errors.seconds},
                                   {"allocated, to plain tensor parallelism", &errors.allocated_ratio},
                                   {"samples a second, to the same", &errors.speed_ratio}})
    std::printf("%-9s %-38s %s\n", title, name, some->text().c_str());
}

void print_runs(Measurements const& runs, Fit const& fit) {
  for (PublishedMeasurement const& measured : runs) {
    PublishedProfile const profile(measured.run, fit.machine, fit.copies);
    PublishedRun const& run = measured.run;
    std::printf(
        "%-24s part %d D %5lld C %5lld TP %2lld FSDP %lld DP %2lld units %lld: GiB %6.2f (%+5.1f%%) seconds "
        "%7.3f (%+5.1f%%) retries %d%s%s\n",
        name_of(run.method), static_cast<int>(run.part), static_cast<long long>(run.embed),
        static_cast<long long>(run.channels), static_cast<long long>(run.tensor), static_cast<long long>(run.shard),
        static_cast<long long>(run.data), static_cast<long long>(run.units), measured.allocated / (1 << 30),
        100 * (profile.memory().peak().all() / measured.allocated - 1), measured.seconds(),
        100 * (profile.seconds().all() / measured.seconds() - 1), measured.retries, profile.stalls() ? " stalls" : "",
        fitted(measured) ? "" : " held out");
  }
}

/// Errors of the runs that are not chosen, by a fit to those that are.
template <class Choice>
void cross_check(std::string const& title, Measurements const& runs, Choice const& choice) {
  auto const part = chosen_of(runs, choice);
  Fit const fit = fit_to(part);
  PublishedCopies const known;
  std::printf("\n%s. Counts other than those above:", title.c_str());
  for (auto const& count : benchmarks::constants_of_copies()) {
    double const found = fit.copies.*count.value;
    bool const seen = benchmarks::seen_by(part, fit.exact, count.value) > 0;
    if (!seen) std::printf(" %s not seen,", count.name);
    if (seen && found != known.*count.value) std::printf(" %s = %.0f,", count.name, found);
  }
  std::printf("\n");
  print_errors(
      "held out", runs, [&](PublishedMeasurement const& measured) { return !choice(measured); }, fit);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Fits profiles of the published code to a table of runs and prints the errors."};
  std::string table;
  bool each = false;
  app.add_option("table", table, "CSV with the columns of read_published_runs")->required();
  app.add_flag("--runs", each, "the errors of every run");
  CLI11_PARSE(app, argc, argv);
  try {
    auto const runs = read_published_runs(table);
    auto const part = chosen_of(runs, fitted);
    Fit const fit = fit_to(part);
    std::printf("Fit to %zu of %zu runs\n", part.size(), runs.size());
    print_constants(part, fit);
    print_errors("fitted", runs, fitted, fit);
    print_errors(
        "held out", runs, [](PublishedMeasurement const& measured) { return !fitted(measured); }, fit);
    if (each) print_runs(runs, fit);

    cross_check("Fit to D above 4096", runs,
                [](PublishedMeasurement const& measured) { return measured.run.embed > 4096; });
    constexpr std::size_t folds = 5;
    for (std::size_t fold = 0; fold < folds; ++fold) {
      auto const others = [&](PublishedMeasurement const& measured) {
        for (std::size_t i = fold; i < runs.size(); i += folds)
          if (runs[i].allocated == measured.allocated && runs[i].run.data == measured.run.data) return false;
        return true;
      };
      cross_check("Fit to four fifths of the runs, without every fifth from " + std::to_string(fold), runs, others);
    }
  } catch (Error const& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
