#include "kedge/study/figure_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "kedge/core/errors.h"
#include "kedge/files/toml_value.h"
#include "kedge/tasks/bundled.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostPanels = 100, kMostRuns = 10000, kMostClaims = 1000;

void require_at_most(const Value& sections, std::size_t n, std::size_t most) {
  if (n > most) sections.fail(fmt::format("there are {}, but must be at most {}", n, most));
}

std::vector<std::string> texts(const Value& value) {
  std::vector<std::string> all;
  for (const Value& element : value.elements()) all.push_back(element.text());
  return all;
}

/// One panel of a figure, or all of it: what its runs have in common.
struct Panel {
  std::string title;  ///< empty: the figure has one panel
  std::optional<std::string> task;
  std::vector<std::string> set;
};

std::vector<Panel> read_panels(const Value& root) {
  const auto sections = root.find("panel");
  if (!sections) return {Panel{}};
  require_at_most(*sections, sections->elements().size(), kMostPanels);
  std::vector<Panel> panels;
  for (const Value& section : sections->elements()) {
    section.allow({"title", "task", "set"});
    Panel panel{section.require("title").text(), {}, {}};
    for (const Panel& other : panels)
      if (other.title == panel.title)
        section.require("title").fail(fmt::format("two panels are called \"{}\"", panel.title));
    if (const auto task = section.find("task")) panel.task = task->text();
    if (const auto set = section.find("set")) panel.set = texts(*set);
    panels.push_back(std::move(panel));
  }
  if (panels.empty()) sections->fail("must have at least one element");
  return panels;
}

/// A run is in every panel unless it names some.
bool belongs(const Value& section, const Panel& panel, const std::vector<Panel>& panels) {
  const auto named = section.find("panels");
  if (!named) return true;
  std::vector<std::string> titles;
  for (const Panel& one : panels) titles.push_back(one.title);
  bool found = false;
  for (const Value& title : named->elements()) found |= titles[title.choice(titles)] == panel.title;
  return found;
}

/// `set` of the figure, of the panel and of the run, the last word the run's.
FigureRun read_run(const Value& section, const Value& root, const Panel& panel, const Figure& figure) {
  section.allow({"label", "panels", "task", "algorithm", "set"});
  FigureRun run;
  const std::string label = section.require("label").text();
  run.label = panel.title.empty() ? label : fmt::format("{}: {}", panel.title, label);
  run.panel = panel.title;
  for (const FigureRun& other : figure.runs)
    if (other.label == run.label) section.require("label").fail(fmt::format("two runs are called \"{}\"", label));
  const auto own_or_common = [&](const char* key) {
    const auto own = section.find(key);
    return own ? own->text() : root.require(key).text();
  };
  run.task = panel.task && !section.find("task") ? *panel.task : own_or_common("task");
  run.algorithm = own_or_common("algorithm");
  if (const auto set = root.find("set")) run.set = texts(*set);
  run.set.insert(run.set.end(), panel.set.begin(), panel.set.end());
  if (const auto set = section.find("set"))
    for (const std::string& text : texts(*set)) run.set.push_back(text);
  return run;
}

Claim read_claim(const Value& section, const Figure& figure) {
  section.allow({"text", "source", "kind", "run", "than", "measure", "rollouts", "threshold", "share"});
  Claim claim;
  claim.text = section.require("text").text();
  claim.source = section.require("source").text();
  std::vector<std::string> labels;
  for (const FigureRun& run : figure.runs) labels.push_back(run.label);
  const auto label = [&](const char* key) { return labels[section.require(key).choice(labels)]; };
  claim.run = label("run");
  const std::array kinds{Claim::Kind::better, Claim::Kind::similar, Claim::Kind::succeeds, Claim::Kind::fails};
  claim.kind = kinds[section.require("kind").choice({"better", "similar", "succeeds", "fails"})];
  if (claim.kind == Claim::Kind::better || claim.kind == Claim::Kind::similar) {
    claim.than = label("than");
    claim.measure = read_measure(section);
  } else {
    claim.measure.kind = Measure::Kind::final_success;
    const Value share = section.require("share");
    claim.share = share.not_negative();
    if (claim.share > 1) share.fail(fmt::format("must be in [0, 1], but is {}", claim.share));
    if (section.find("measure")) {
      claim.measure = read_measure(section);
      if (claim.measure.kind != Measure::Kind::final_success && claim.measure.kind != Measure::Kind::noisy_success)
        section.require("measure").fail("must be final_success or noisy_success");
    }
  }
  return claim;
}

}  // namespace

std::string to_string(const Measure& measure) {
  switch (measure.kind) {
    case Measure::Kind::final_return: return "return of the final policy without noise";
    case Measure::Kind::final_success: return "success of the final policy without noise";
    case Measure::Kind::return_at: return fmt::format("return after {} rollouts", measure.argument);
    case Measure::Kind::rollouts_to: return fmt::format("rollouts until the return stays at {}", measure.argument);
    case Measure::Kind::noisy_return: return "return of the last iteration's rollouts";
    case Measure::Kind::noisy_success: return "success of the last iteration's rollouts";
  }
  return "";
}

Measure read_measure(const Value& section) {
  const std::array kinds{Measure::Kind::final_return, Measure::Kind::final_success, Measure::Kind::return_at,
                         Measure::Kind::rollouts_to,  Measure::Kind::noisy_return,  Measure::Kind::noisy_success};
  const Value name = section.require("measure");
  Measure measure{kinds[name.choice(
                      {"final_return", "final_success", "return_at", "rollouts_to", "noisy_return", "noisy_success"})],
                  0.0};
  if (measure.kind == Measure::Kind::return_at) measure.argument = section.require("rollouts").positive();
  if (measure.kind == Measure::Kind::rollouts_to) measure.argument = section.require("threshold").number();
  return measure;
}

void read_figure_head(const Value& root, const fs::path& file, Figure& figure) {
  if (const Value format = root.require("kedge"); !format.is_number() || format.number() != 1)
    format.fail(fmt::format("this program reads figure files of format 1, but this is {}", format.describe()));
  figure.file = file;
  figure.name = file.stem().string();
  figure.title = root.require("title").text();
  if (const auto seeds = root.find("seeds")) figure.seeds = seeds->integer(1, 10000);
  if (const auto first = root.find("first_seed"))
    figure.first_seed = static_cast<std::uint64_t>(first->integer(0, 1000000));
}

Figure read_figure(const fs::path& file) {
  const std::string path = file.string();
  const toml::table document = read_toml(path);
  const Value root(document, "", path);
  root.allow({"kedge", "title", "task", "algorithm", "set", "seeds", "first_seed", "x", "paths", "quick", "panel",
              "run", "claim"});
  Figure figure;
  read_figure_head(root, file, figure);
  if (const auto quick = root.find("quick")) {
    quick->allow({"seeds", "set"});
    if (const auto seeds = quick->find("seeds")) figure.quick_seeds = seeds->integer(1, 10000);
    if (const auto set = quick->find("set")) figure.quick_set = texts(*set);
  }
  if (const auto x = root.find("x")) figure.over_iterations = x->choice({"rollouts", "iterations"}) == 1;
  if (const auto paths = root.find("paths")) figure.paths = paths->boolean();
  const std::vector<Panel> panels = read_panels(root);
  const std::vector<Value> runs = root.require("run").elements();
  require_at_most(root.require("run"), panels.size() * runs.size(), kMostRuns);
  for (const Panel& panel : panels)
    for (const Value& section : runs)
      if (belongs(section, panel, panels)) figure.runs.push_back(read_run(section, root, panel, figure));
  if (figure.runs.empty()) root.require("run").fail("must have at least one element");
  if (const auto claims = root.find("claim")) {
    require_at_most(*claims, claims->elements().size(), kMostClaims);
    for (const Value& section : claims->elements()) figure.claims.push_back(read_claim(section, figure));
  }
  return figure;
}

std::vector<fs::path> bundled_figures() {
  std::map<std::string, fs::path> found;
  for (const fs::path& folder : resource_folders("KEDGE_EXPERIMENTS", "experiments")) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
      if (entry->path().extension() == ".toml") found.emplace(entry->path().stem().string(), entry->path());
  }
  std::vector<fs::path> figures;
  for (const auto& [name, file] : found) figures.push_back(file);
  return figures;
}

fs::path find_figure(const std::string& name_or_path) {
  std::vector<std::string> names;
  for (const fs::path& figure : bundled_figures()) {
    if (figure.stem() == name_or_path) return figure;
    names.push_back(figure.stem().string());
  }
  std::error_code error;
  if (fs::is_regular_file(name_or_path, error)) return name_or_path;
  throw InputError(fmt::format("unknown figure '{}'{}; or give the path of a figure file", one_line(name_or_path),
                               hint(name_or_path, names)));
}

}  // namespace kedge
