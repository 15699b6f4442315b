#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <dchag/parallel/mesh.hpp>
#include <dchag/training/report.hpp>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

namespace dchag {

struct ProgressOptions {
  std::ostream* stream = &std::cerr;
  std::optional<bool> terminal =
      {};               // whether a line may be drawn over: found out for std::cerr and std::cout, else no
  int width = 0;        // columns of the terminal; 0: found out
  double seconds = 10;  // between two lines where there is no terminal
  double redraw = 0.1;  // seconds between two drawings of the bar
};

/// Shows how a training run goes, on rank 0: a bar that is drawn over on a terminal, else a line from time to time. A
/// callback of a trainer:
///
///     dchag::Progress progress(mesh);
///     trainer.on_step(std::ref(progress));
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Progress(Mesh const& mesh, ProgressOptions options = {})
      : options_(options), shows_(mesh.world().rank() == 0) {
    if (!options_.terminal) options_.terminal = descriptor() >= 0 && ::isatty(descriptor()) != 0;
  }
  Progress(Progress const&) = delete;
  Progress& operator=(Progress const&) = delete;
  ~Progress() { finish(); }

  void operator()(StepReport const& report) {
    if (!shows_) return;
    auto const now = Clock::now();
    if (steps_ == 0) {
      began_ = now - std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(report.seconds));
      first_ = report.step - 1;
    }
    ++steps_;
    bool const last = report.total > 0 && report.step >= report.total;
    double const interval = *options_.terminal ? options_.redraw : options_.seconds;
    if (steps_ > 1 && !last && std::chrono::duration<double>(now - shown_).count() < interval) return;
    shown_ = now;
    show(report, std::chrono::duration<double>(now - began_).count());
    if (last) finish();
  }

  /// A line of text above the bar.
  void note(std::string_view text) {
    if (!shows_) return;
    if (drawn_) *options_.stream << "\r\x1b[K";
    *options_.stream << text << '\n' << (drawn_ ? line_ : std::string()) << std::flush;
  }

  /// Leaves the bar as it is and goes to the next line. The destructor does so too.
  void finish() {
    if (drawn_) *options_.stream << '\n' << std::flush;
    drawn_ = false;
  }

  /// 0:42, 12:34 or 1:02:03.
  static std::string duration(double seconds) {
    long const whole = std::lround(std::min(seconds, 1e9));
    return whole < 3600 ? text("%ld:%02ld", whole / 60, whole % 60)
                        : text("%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  }

 private:
  template <class... Values>
  static std::string text(char const* format, Values... values) {
    std::array<char, 128> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, values...);
    return buffer.data();
  }

  int descriptor() const {
    if (options_.stream == &std::cerr) return STDERR_FILENO;
    return options_.stream == &std::cout ? STDOUT_FILENO : -1;
  }

  std::size_t width() const {
    winsize size{};
    if (options_.width > 0) return static_cast<std::size_t>(options_.width);
    if (descriptor() >= 0 && ::ioctl(descriptor(), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
  }

  void show(StepReport const& report, double elapsed) {
    std::string const count = report.total > 0 ? std::to_string(report.step) + "/" + std::to_string(report.total)
                                               : std::to_string(report.step);
    std::string facts = "step " + count + "  loss " + text("%.4g", report.loss) + "  lr " +
                        text("%.2e", report.learning_rate) + "  " + text("%.4g", report.samples_per_second) +
                        " img/s  ";
    double const pace = elapsed / static_cast<double>(report.step - first_);
    if (report.total > report.step)
      facts += duration(pace * static_cast<double>(report.total - report.step)) + " left";
    else
      facts += duration(elapsed);
    if (!*options_.terminal) {
      *options_.stream << facts << std::endl;
      return;
    }
    std::size_t const columns = width() - 1;  // the last column would wrap
    line_ = bar(report, facts, columns).substr(0, columns);
    *options_.stream << '\r' << line_ << "\x1b[K" << std::flush;
    drawn_ = true;
  }

  /// "[====>     ]  40%  " and the facts, where there is room for a bar of at least eight columns and the total is
  /// known.
  static std::string bar(StepReport const& report, std::string const& facts, std::size_t columns) {
    constexpr std::size_t around = 10, shortest = 8,
                          longest = 40;  // brackets, percentage and gaps take `around` columns
    if (report.total <= 0 || facts.size() + around + shortest > columns) return facts;
    std::size_t const length = std::min(longest, columns - facts.size() - around);
    double const share = std::min(1.0, static_cast<double>(report.step) / static_cast<double>(report.total));
    std::size_t const filled = static_cast<std::size_t>(share * static_cast<double>(length));
    std::string drawn(filled, '=');
    if (filled < length) drawn += '>';
    drawn.resize(length, ' ');
    return "[" + drawn + "] " + text("%3d%%", static_cast<int>(100 * share)) + "  " + facts;
  }

  ProgressOptions options_;
  bool shows_, drawn_ = false;
  Index steps_ = 0, first_ = 0;
  std::string line_;
  Clock::time_point began_, shown_;
};

}  // namespace dchag
