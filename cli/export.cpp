#include "kedge/export/export.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/run/policy_source.h"
#include "print.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  std::string source, format, out, prefix;
};

int export_and_print(const Arguments& a) {
  const ExportFormat& format = find_export_format(a.format);
  if (!a.prefix.empty()) require_prefix(a.prefix);
  const PolicyFile file = load_policy(find_policy(a.source));
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
  return [a] { return export_and_print(*a); };
}

}  // namespace kedge::cli
