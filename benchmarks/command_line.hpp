#pragma once

#include <CLI/CLI.hpp>
#include <dchag/parallel/environment.hpp>
#include <string>

namespace dchag::benchmarks {

/// What an option's number must be.
inline CLI::Validator at_least(int least) {
  auto const fault = [least](std::string const& text) {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value >= least) return std::string();
    return text + " is not a number of at least " + std::to_string(least);
  };
  return CLI::Validator(fault, "");
}

/// The main function of a program of one rank or several: `add(app)` adds its options, `work(environment)` does what it
/// is for and answers the exit code. Kokkos takes its own options first; one that nobody knows ends the program, and
/// rank 0 says why.
template <class Add, class Work>
int main_of(std::string const& what, int argc, char** argv, Add const& add, Work const& work) {
  return run(argc, argv, [&](Environment& environment) {
    CLI::App app(what);
    app.option_defaults()->always_capture_default();
    add(app);
    try {
      app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
      return environment.world().rank() == 0 ? app.exit(error) : error.get_exit_code();
    }
    return work(environment);
  });
}

}  // namespace dchag::benchmarks
