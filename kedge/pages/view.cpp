#include "kedge/pages/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/run/run_files.h"

namespace kedge {

namespace {

/// Returns the whole text as a number.
std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || rest != end) return std::nullopt;
  return value;
}

/// Returns what follows `start`, as a number.
std::optional<std::uint64_t> number_behind(std::string_view start, std::string_view text) {
  return text.starts_with(start) ? number(text.substr(start.size())) : std::nullopt;
}

HttpResponse json(const Json& json) { return {.body = std::make_shared<const std::string>(json_text(json))}; }

HttpResponse plain(int status, std::string_view text) {
  return {.status = status, .type = "text/plain", .body = std::make_shared<const std::string>(text)};
}

HttpResponse not_found() { return {.status = 404, .body = nullptr}; }

constexpr std::string_view kBeingMade =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"1\">"
    "<title>kedge</title><p>The replay is being made.</p></html>";

/// Differs from those of a server before.
std::uint64_t first_version() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

/// Returns a word that cannot be guessed.
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

bool has_run(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory / kRunToml, ignored);
}

/// Adds a run, or the runs in a folder, by name. What is neither stays, so that it is shown as damaged.
void add_runs(const std::filesystem::path& directory, std::vector<std::filesystem::path>& runs) {
  std::vector<std::filesystem::path> inside;
  std::error_code error;
  if (!has_run(directory))
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error))
      if (has_run(entry->path())) inside.push_back(entry->path());
  if (inside.empty()) inside.push_back(directory);
  std::ranges::sort(inside);
  runs.insert(runs.end(), inside.begin(), inside.end());
}

}  // namespace

View::View(const std::vector<std::filesystem::path>& directories, std::string_view page, NewestReplays::Maker replay)
    : word_(random_word()),
      makes_replays_(replay != nullptr),
      replays_([replay = std::move(replay), word = word_](const auto& directory, const auto& stop) {
        return marked(replay(directory, stop), word);
      }) {
  std::vector<std::filesystem::path> runs;
  for (const std::filesystem::path& directory : directories) add_runs(directory, runs);
  for (const std::filesystem::path& run : runs) readers_.emplace_back(run);
  if (std::ranges::none_of(runs, has_run)) static_cast<void>(open_run_directory(directories.at(0)));
  page_ = std::make_shared<const std::string>(marked(page, word_));
  page_policy_ = fmt::format(
      "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src data: blob:; connect-src 'self'; "
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      word_);
  publish();
}

void View::refresh(const std::stop_token& stop) {
  bool changed = false;
  for (RunReader& reader : readers_) {
    if (stop.stop_requested()) return;
    const bool first = !reader.shown().looked_at;
    changed = reader.refresh() || changed;
    if (first) publish();  // the next one may take long
  }
  if (changed) publish();
}

void View::publish() {
  auto next = std::make_shared<Shown>();
  const auto before = shown();
  next->version = before ? before->version + 1 : first_version();
  Json runs = Json::array();
  for (const RunReader& reader : readers_) {
    next->runs.push_back(reader.shown());
    runs.push_back(summary_json(reader.shown()));
  }
  next->list = std::make_shared<const std::string>(
      json_text({{"version", next->version}, {"replays", makes_replays_}, {"runs", std::move(runs)}}));
  const std::lock_guard lock(guard_);
  shown_ = std::move(next);
}

void View::follow(std::chrono::milliseconds pause) {
  follower_ = std::jthread([this, pause](const std::stop_token& stop) {
    std::mutex sleeping;
    std::condition_variable_any bell;
    std::unique_lock lock(sleeping);
    while (!stop.stop_requested()) {
      try {
        refresh(stop);
      } catch (const std::exception&) {  // no memory for the list: the one before stays until the next time
      }
      bell.wait_for(lock, stop, pause, [] { return false; });
    }
  });
}

std::shared_ptr<const View::Shown> View::shown() const {
  const std::lock_guard lock(guard_);
  return shown_;
}

std::optional<std::vector<std::string>> View::warnings() const {
  std::vector<std::string> lines;
  for (const ShownRun& run : shown()->runs) {
    if (!run.looked_at) return std::nullopt;
    if (run.file || run.status.state != RunState::damaged) continue;
    lines.push_back(one_line(run.status.detail.empty() && !run.notes.empty() ? run.notes.front() : run.status.detail));
  }
  return lines;
}

std::optional<HttpResponse> View::list(std::string_view query, bool last) const {
  const auto since = number_behind("since=", query);
  if (!since && !query.empty()) return not_found();
  const auto now = shown();
  if (since == now->version && !last) return std::nullopt;
  return HttpResponse{.body = now->list};
}

std::optional<HttpResponse> View::replay(std::size_t index, const HttpRequest& request, bool last) {
  const auto now = shown();
  const ShownRun& run = now->runs[index];
  const auto result = replays_.ask(index, run.directory, run.policy, request.arrived);
  if (!result && !last) return std::nullopt;
  if (!result)
    return HttpResponse{.status = 503, .type = "text/html", .body = std::make_shared<const std::string>(kBeingMade)};
  if (!result->page) return plain(result->asked_wrongly ? 404 : 500, result->failure);
  return HttpResponse{.type = "text/html", .body = result->page, .policy = page_policy_};
}

std::optional<HttpResponse> View::answer(const HttpRequest& request, bool last) {
  const std::string_view path = request.path, query = request.query;
  if (path == "/" && query.empty()) return HttpResponse{.type = "text/html", .body = page_, .policy = page_policy_};
  if (path == "/api/runs") return list(query, last);
  const bool is_page = path.starts_with("/runs/");
  const std::string_view start = is_page ? "/runs/" : "/api/runs/";
  if (!path.starts_with(start)) return not_found();
  const std::string_view rest = path.substr(start.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const auto index = number(rest.substr(0, slash));
  if (!index || *index >= readers_.size()) return not_found();
  const std::string_view part = rest.substr(slash);
  if (is_page)
    return part == "/replay" && query.empty() && makes_replays_ ? replay(*index, request, last) : not_found();
  const auto now = shown();
  const ShownRun& run = now->runs[*index];
  const auto from = number_behind("from=", query);
  if (part == "/rows" && from) return json(rows_json(run, *from, rows_at_once));
  if (part == "/steps" && query.empty()) return json(steps_json(run));
  return not_found();
}

}  // namespace kedge
