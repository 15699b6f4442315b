#pragma once

#include <cmath>
#include <dchag/core/error.hpp>
#include <dchag/io/json.hpp>
#include <dchag/training/report.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace dchag {

/// A log of JSON lines: one object a line, each flushed when written, so that a run that ends early leaves whole lines.
/// One rank writes a log. As a callback of a trainer it writes a line for every step.
class JsonLog {
 public:
  enum class Mode { replace, append };

  /// Opens the file. Where it appends, what follows the last whole line (a run that was killed while writing) is cut
  /// off. Throws where the system refuses.
  explicit JsonLog(std::filesystem::path path, Mode mode = Mode::replace) : path_(std::move(path)) {
    if (mode == Mode::append) cut_partial_line();
    file_.open(path_, mode == Mode::append ? std::ios::app : std::ios::trunc);
    require(file_.is_open(), path_.string(), ": the log cannot be opened for writing");
  }

  /// Members that are not finite numbers are written as null. Throws where the system refuses (full disk).
  void operator()(StepReport const& report) {
    write({{"step", report.step},
           {"total", report.total},
           {"loss", number(report.loss)},
           {"learning_rate", number(report.learning_rate)},
           {"gradient_norm", number(report.gradient_norm)},
           {"seconds", number(report.seconds)},
           {"samples_per_second", number(report.samples_per_second)}});
  }

  /// A line of one's own: an evaluation, a configuration.
  void write(Json const& line) {
    file_ << dump_json(line) << '\n' << std::flush;
    require(file_.good(), path_.string(), ": a line of the log cannot be written: is the disk full?");
  }

  /// The number, or null where it is not finite.
  static Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

 private:
  void cut_partial_line() const {
    std::ifstream file(path_, std::ios::binary);
    if (!file.is_open()) return;
    file.seekg(0, std::ios::end);
    std::streamoff const size = file.tellg();
    std::streamoff end = size;
    for (; end > 0; --end) {
      file.seekg(end - 1);
      if (file.get() == '\n') break;
    }
    if (end == size) return;
    std::error_code code;
    std::filesystem::resize_file(path_, static_cast<std::uintmax_t>(end), code);
    require(!code, path_.string(), ": the last line is not whole and cannot be cut off: ", code.message());
  }

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace dchag
