#include "kedge/export/export.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/core/text.h"
#include "kedge/files/atomic_file.h"
#include "kedge/run/evaluate.h"
#include "kedge/run/policy_source.h"
#include "print.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  std::string source, format, out, prefix, start, task;
};

/// @throws InputError "--start = 1,x, but ..."
VectorXd numbers_of(const std::string& text) {
  std::vector<double> numbers;
  const char *at = text.data(), *end = at + text.size();
  while (at < end) {
    double value = 0.0;
    const auto [rest, failed] = std::from_chars(at, end, value);
    if (failed != std::errc{} || (rest != end && *rest != ',') || rest + 1 == end)
      throw InputError(
          fmt::format("--start = {}, but must be numbers separated by commas: the initial state", one_line(text, 60)));
    numbers.push_back(value);
    at = rest + 1;
  }
  return Eigen::Map<const VectorXd>(numbers.data(), static_cast<Index>(numbers.size()));
}

/// The policy as it was found, or the controller that it chooses for --start.
PolicyFile policy_to_export(const Arguments& a) {
  if (a.start.empty()) {
    if (!a.task.empty()) throw InputError("--task: nothing depends on the task without --start");
    return load_policy(find_policy(a.source));
  }
  const VectorXd x0 = numbers_of(a.start);
  const Subject subject = find_subject(a.source, a.task, {});
  PolicyFile file = for_task(subject.task.task, load_policy(subject.policy_file), subject.policy_file.string());
  file.policy = chosen_controller(file.policy, subject.task.task, x0);
  return file;
}

int export_and_print(const Arguments& a) {
  const ExportFormat& format = find_export_format(a.format);
  if (a.out != "-") require_output(a.out, find_policy(a.source));
  if (!a.prefix.empty()) require_prefix(a.prefix);
  const PolicyFile file = policy_to_export(a);
  const std::string prefix = a.prefix.empty() ? export_prefix(file.info) : a.prefix;
  const std::string text = format.text(file, prefix);
  if (file.info.action_low.size() == 0)
    print_warning(fmt::format("{}: has no limits of actions, so the exported controller has none", a.source));
  if (a.out == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return kDone;
  }
  write_file(a.out, text, Durability::process);
  const Policy& policy = as_policy(file.policy);
  fmt::print("{}: {}, {} observations, {} actions; {}\n", a.out, policy_kind(file.policy), policy.observation_dim(),
             policy.action_dim(), format.summary);
  return kDone;
}

}  // namespace

std::function<int()> add_export(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_subject(app, a->source);
  std::string formats;
  for (const ExportFormat& format : export_formats())
    formats += fmt::format("{}{}: {}", formats.empty() ? "" : "; ", format.name, format.summary);
  app.add_option("--format", a->format, formats)->type_name("FORMAT")->required();
  app.add_option("-o,--output", a->out, "write this file; -: to standard output")->type_name("FILE")->required();
  app.add_option("--name", a->prefix, "names in the C header begin with it (default: the name of the task)")
      ->type_name("NAME");
  app.add_option("--start", a->start, "of a contextual policy: the controller of the episode that begins at this state")
      ->type_name("X0,X1,...");
  add_other_task(app, a->task);
  return [a] { return export_and_print(*a); };
}

}  // namespace kedge::cli
