#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <utility>

#include "kedge/core/text.h"
#include "kedge/tasks/task_file.h"
#include "print.h"

namespace kedge::cli {

namespace {

constexpr int kBar = 12;  // characters
constexpr std::chrono::seconds kQuietWait{2};
constexpr double kRedraw = 0.1;  // seconds between two drawings

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 100;
}

}  // namespace

WaitNotice::WaitNotice(std::string text) {
  const auto tell = [text = std::move(text)](const std::stop_token& over) {
    std::mutex sleeping;
    std::condition_variable_any bell;
    std::unique_lock lock(sleeping);
    bell.wait_for(lock, over, kQuietWait, [] { return false; });
    if (!over.stop_requested()) std::fputs(fmt::format("kedge: {}\n", text).c_str(), stderr);
  };
  try {
    teller_ = std::jthread(tell);
  } catch (const std::system_error&) {  // no thread for it: nobody is told
  }
}

std::string reading_text(const std::string& name) {
  return fmt::format("reading {}: its model may take {} s of processor time to compile", one_line(name),
                     longest_compilation());
}

std::string duration_text(double seconds) {
  const auto s = static_cast<long>(std::lround(std::max(0.0, seconds)));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
}

std::string number_text(double value) { return fmt::format("{:.4g}", value); }

ProgressLine::ProgressLine(std::string label, bool terminal, bool quiet)
    : label_(std::move(label)), terminal_(terminal), quiet_(quiet), start_(Clock::now()) {}

void ProgressLine::show(const Progress& p) {
  const auto now = Clock::now();
  if (first_ < 0) {
    // The first iteration of this process: what went before was not timed here.
    first_ = p.iterations_done - 1;
    next_plain_ = p.iterations_done;
  }
  for (const std::string& warning : p.iteration->warnings) warn(warning, p.iteration->number);
  if (quiet_) return;

  const bool last = p.iterations_done >= p.iterations;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double left = elapsed / (p.iterations_done - first_) * (p.iterations - p.iterations_done);
  const std::string done = fmt::format("{}/{}", p.iterations_done, p.iterations);
  const std::string returns =
      fmt::format("return mean {} median {}", number_text(p.return_mean), number_text(p.return_median));
  if (terminal_) {
    if (!last && std::chrono::duration<double>(now - drawn_).count() < kRedraw) return;
    drawn_ = now;
    const int filled = p.iterations > 0 ? kBar * p.iterations_done / p.iterations : kBar;
    std::string line =
        fmt::format("{}  [{}{}] {}  {} left  {}", label_, std::string(static_cast<std::size_t>(filled), '#'),
                    std::string(static_cast<std::size_t>(kBar - filled), '.'), done, duration_text(left), returns);
    line = line.substr(0, terminal_width() - 1);
    say("\r\033[K" + line);
    line_open_ = true;
  } else {
    if (p.iterations_done < next_plain_ && !last) return;
    const int tenth = std::max(1, p.iterations / 10);
    next_plain_ = (p.iterations_done / tenth + 1) * tenth;
    say(fmt::format("{}  iteration {}  {}  rollouts {}  {:.1f} s, {} left\n", label_, done, returns, p.rollouts_total,
                    elapsed, duration_text(left)));
  }
}

void ProgressLine::clear_line() {
  if (!line_open_) return;
  say("\r\033[K");
  line_open_ = false;
}

void ProgressLine::warn(const std::string& warning, int iteration) {
  Kind& kind = warnings_[without_numbers(warning)];
  if (++kind.count > 1) return;
  kind.text = warning;
  clear_line();
  print_warning(fmt::format("iteration {}: {}", iteration, warning));
}

void ProgressLine::finish() {
  if (line_open_) {
    say("\n");
    line_open_ = false;
  }
  for (const auto& [key, kind] : warnings_)
    if (kind.count > 1) print_warning(fmt::format("in {} iterations, the first time: {}", kind.count, kind.text));
}

}  // namespace kedge::cli
