#include "kedge/experiment/figure_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <map>

#include "kedge/core/errors.h"
#include "kedge/experiment/tasks.h"
#include "kedge/mujoco/toml_value.h"

namespace kedge {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> texts(const Value& value) {
  std::vector<std::string> all;
  for (const Value& element : value.elements()) all.push_back(element.text());
  return all;
}

FigureRun read_run(const Value& section, const Value& root, const Figure& figure) {
  section.allow({"label", "task", "algorithm", "set"});
  FigureRun run;
  run.label = section.require("label").text();
  for (const FigureRun& other : figure.runs)
    if (other.label == run.label) section.require("label").fail(fmt::format("two runs are called \"{}\"", run.label));
  const auto own_or_common = [&](const char* key) {
    const auto own = section.find(key);
    return own ? own->text() : root.require(key).text();
  };
  run.task = own_or_common("task");
  run.algorithm = own_or_common("algorithm");
  if (const auto set = root.find("set")) run.set = texts(*set);
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
  }
  return claim;
}

}  // namespace

std::string to_string(const Measure& measure) {
  switch (measure.kind) {
    case Measure::Kind::final_return: return "return of the final policy without noise";
    case Measure::Kind::final_success: return "success of the final policy without noise";
    case Measure::Kind::return_at: return fmt::format("return after {} rollouts", measure.argument);
    case Measure::Kind::rollouts_to: return fmt::format("rollouts until the return reaches {}", measure.argument);
  }
  return "";
}

Measure read_measure(const Value& section) {
  const std::array kinds{Measure::Kind::final_return, Measure::Kind::final_success, Measure::Kind::return_at,
                         Measure::Kind::rollouts_to};
  const Value name = section.require("measure");
  Measure measure{kinds[name.choice({"final_return", "final_success", "return_at", "rollouts_to"})], 0.0};
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
  root.allow({"kedge", "title", "task", "algorithm", "set", "seeds", "first_seed", "quick", "run", "claim"});
  Figure figure;
  read_figure_head(root, file, figure);
  if (const auto quick = root.find("quick")) {
    quick->allow({"seeds", "set"});
    if (const auto seeds = quick->find("seeds")) figure.quick_seeds = seeds->integer(1, 10000);
    if (const auto set = quick->find("set")) figure.quick_set = texts(*set);
  }
  for (const Value& section : root.require("run").elements()) figure.runs.push_back(read_run(section, root, figure));
  if (figure.runs.empty()) root.require("run").fail("must have at least one element");
  if (const auto claims = root.find("claim"))
    for (const Value& section : claims->elements()) figure.claims.push_back(read_claim(section, figure));
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
