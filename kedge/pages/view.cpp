#include "kedge/pages/view.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <random>
#include <utility>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

/// The whole text as a number.
std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || rest != end) return std::nullopt;
  return value;
}

/// What follows `start`, as a number.
std::optional<std::uint64_t> number_behind(std::string_view start, std::string_view text) {
  return text.starts_with(start) ? number(text.substr(start.size())) : std::nullopt;
}

HttpResponse json(std::string text) { return {.body = std::make_shared<const std::string>(std::move(text))}; }

/// A word that nobody can guess.
std::string random_word() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

/// Marks the page's own scripts and styles with a word: the browser runs no others.
std::string marked(std::string_view page, std::string_view word) {
  std::string text(page);
  for (const std::string_view element : {"<script type=\"module\"", "<style"})
    for (std::size_t at = 0; (at = text.find(element, at)) != std::string::npos; at += element.size())
      text.insert(at + element.size(), fmt::format(" nonce=\"{}\"", word));
  return text;
}

}  // namespace

View::View(const std::vector<std::filesystem::path>& directories, std::string_view page, ReplayMaker replay)
    : make_replay_(std::move(replay)),
      version_(static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count())) {
  for (const std::filesystem::path& directory : directories) runs_.emplace_back(directory);
  word_ = random_word();
  page_ = std::make_shared<const std::string>(marked(page, word_));
  page_policy_ = fmt::format(
      "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src data: blob:; connect-src 'self'; "
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      word_);
}

void View::refresh() {
  bool changed = false;
  for (RunView& run : runs_) changed = run.refresh() || changed;
  if (changed) ++version_;
}

HttpResponse View::replay(std::size_t index) {
  const std::filesystem::path& directory = runs_[index].directory();
  try {
    std::error_code missing;
    const auto of = std::filesystem::last_write_time(directory / "policy.h5", missing);
    MadeReplay& made = replays_[index];
    if (!made.page || made.of != of)
      made = {of, std::make_shared<const std::string>(marked(make_replay_(directory), word_))};
    return {.type = "text/html", .body = made.page, .policy = page_policy_};
  } catch (const InputError& e) {
    return {.status = 404, .type = "text/plain", .body = std::make_shared<const std::string>(e.what())};
  }
}

std::optional<HttpResponse> View::answer(const HttpRequest& request, bool last) {
  const HttpResponse not_found{.status = 404, .body = nullptr};
  const std::string_view path = request.path, query = request.query;
  if (path == "/" && query.empty()) return HttpResponse{.type = "text/html", .body = page_, .policy = page_policy_};
  if (path == "/api/runs") {
    const auto since = number_behind("since=", query);
    if (!since && !query.empty()) return not_found;
    if (since == version_ && !last) return std::nullopt;
    std::string text = fmt::format("{{\"version\":{},\"replays\":{},\"runs\":[", version_, make_replay_ != nullptr);
    for (const RunView& run : runs_) text.append(&run == &runs_.front() ? "" : ",").append(run.summary_json());
    return json(text + "]}");
  }
  const bool is_page = path.starts_with("/runs/");
  const std::string_view start = is_page ? "/runs/" : "/api/runs/";
  if (!path.starts_with(start)) return not_found;
  const std::string_view rest = path.substr(start.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const auto index = number(rest.substr(0, slash));
  if (!index || *index >= runs_.size()) return not_found;
  const RunView& run = runs_[*index];
  const std::string_view what = rest.substr(slash);
  if (is_page) return what == "/replay" && query.empty() && make_replay_ ? replay(*index) : not_found;
  if (what == "/rows") {
    const auto from = number_behind("from=", query);
    return from ? json(run.rows_json(*from, rows_at_once)) : not_found;
  }
  if (what == "/steps" && query.empty()) return json(run.steps_json());
  return not_found;
}

}  // namespace kedge
