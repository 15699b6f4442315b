#include <doctest/doctest.h>

#include <algorithm>
#include <dchag/training/progress.hpp>
#include <sstream>
#include <string>

namespace {

dchag::StepReport report(dchag::Index step, dchag::Index total) {
  return {.step = step,
          .total = total,
          .loss = 0.4321,
          .learning_rate = 5e-4,
          .gradient_norm = 1,
          .seconds = 0.5,
          .samples_per_second = 128};
}

auto lines(std::string const& text) { return std::count(text.begin(), text.end(), '\n'); }

dchag::ProgressOptions options(std::ostringstream& out, bool terminal, int width = 100) {
  return {.stream = &out, .terminal = terminal, .width = width, .seconds = 0, .redraw = 0};
}

}  // namespace

TEST_CASE("on a terminal one line is drawn over, and the run ends on the next") {
  std::ostringstream out;
  dchag::Progress progress(dchag::Mesh(), options(out, true, 140));
  for (int step = 1; step <= 4; ++step) {
    progress(report(step, 4));
    CHECK(lines(out.str()) == (step == 4 ? 1 : 0));
  }
  std::string const text = out.str();
  CHECK(text.find("\r[" + std::string(10, '=') + ">" + std::string(29, ' ') + "]  25%  step 1/4") == 0);
  CHECK(text.find("] 100%  step 4/4  loss 0.4321  lr 5.00e-04  128 img/s") != std::string::npos);
  CHECK(text.find("0:02 left\x1b[K") != std::string::npos);  // three steps of half a second, rounded
  CHECK(text.back() == '\n');
  progress.finish();
  CHECK(out.str() == text);
}

TEST_CASE("no line is as wide as the terminal: the bar shrinks, goes, and at last the text is cut") {
  for (int const width : {200, 100, 78, 77, 60, 20, 5}) {
    CAPTURE(width);
    std::ostringstream out;
    dchag::Progress progress(dchag::Mesh(), options(out, true, width));
    progress(report(50, 100));
    std::string const text = out.str();
    std::size_t const drawn = text.size() - std::string("\r\x1b[K").size();
    CHECK(drawn < static_cast<std::size_t>(width));
    CHECK((text.find('[') < text.find('\x1b')) == (width >= 78));
  }
}

TEST_CASE("without a terminal there are plain lines, with no control characters") {
  std::ostringstream out;
  {
    dchag::Progress progress(dchag::Mesh(), options(out, false));
    progress(report(1, 3));
    progress(report(2, 3));
    progress(report(3, 3));
  }
  CHECK(lines(out.str()) == 3);
  CHECK(out.str().find_first_of("\r\x1b[") == std::string::npos);
  CHECK(out.str().find("step 1/3  loss 0.4321  lr 5.00e-04  128 img/s  0:01 left\n") == 0);
}

TEST_CASE("lines come no more often than asked for, but for the first and the last step") {
  std::ostringstream out;
  auto rare = options(out, false);
  rare.seconds = 3600;
  dchag::Progress progress(dchag::Mesh(), rare);
  for (int step = 1; step <= 500; ++step) progress(report(step, 500));
  CHECK(lines(out.str()) == 2);
}

TEST_CASE("a stream of one's own is no terminal, and a run of unknown length has no bar") {
  std::ostringstream out;
  dchag::Progress progress(dchag::Mesh(), {.stream = &out});
  progress(report(7, 0));
  CHECK(out.str().find("step 7  loss") == 0);
  CHECK(out.str().find('%') == std::string::npos);
  CHECK(out.str().find("left") == std::string::npos);
}

TEST_CASE("a note stands above the bar, which is drawn again") {
  std::ostringstream out;
  dchag::Progress progress(dchag::Mesh(), options(out, true));
  progress.note("starting");
  CHECK(out.str() == "starting\n");
  progress(report(1, 4));
  std::size_t const before = out.str().size();
  progress.note("validation 0.5");
  CHECK(out.str().substr(before).find("\r\x1b[Kvalidation 0.5\n[") == 0);
}

TEST_CASE("time is told by the clock") {
  CHECK(dchag::Progress::duration(0.4) == "0:00");
  CHECK(dchag::Progress::duration(42) == "0:42");
  CHECK(dchag::Progress::duration(754) == "12:34");
  CHECK(dchag::Progress::duration(3723) == "1:02:03");
}
