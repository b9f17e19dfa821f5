#include "kedge/tasks/world_table.h"

#include "kedge/core/errors.h"
#include "kedge/tasks/quantities.h"
#include "kedge/tasks/task_values.h"
#include "kedge/worlds/outcome.h"
#include "kedge/worlds/table_tennis.h"

namespace kedge {

namespace {

/// Reads a share, in [0, 1].
double share(const Value& value, double otherwise, const char* key, toml::table& out) {
  double number = otherwise;
  if (const auto given = value.find(key)) {
    number = given->not_negative();
    if (number > 1.0) given->fail(fmt::format("must be in [0, 1], but is {}", number));
  }
  out.insert(key, number);
  return number;
}

TableTennisOptions table_tennis_options(const Value& section, toml::table& out) {
  section.allow({"kind", "goal", "table_restitution", "table_tangential", "racket_restitution", "net_restitution"});
  TableTennisOptions options;
  if (const auto goal = section.find("goal")) options.goal = read_numbers(*goal, 2, &Value::number);
  if (const auto shares = section.find("table_tangential"))
    options.table_tangential = read_numbers(*shares, 2, &Value::not_negative);
  out.insert("goal", to_toml(VectorXd(options.goal)));
  out.insert("table_tangential", to_toml(VectorXd(options.table_tangential)));
  options.table_restitution = share(section, options.table_restitution, "table_restitution", out);
  options.racket_restitution = share(section, options.racket_restitution, "racket_restitution", out);
  options.net_restitution = share(section, options.net_restitution, "net_restitution", out);
  return options;
}

}  // namespace

World read_world(const Value& root, const std::shared_ptr<mjModel>& model, int substeps, std::vector<JointLimit> laws,
                 toml::table& resolved) {
  const auto section = root.find("world");
  if (!section) {
    if (asks_for_outcome(root)) return with_outcome(model, substeps, std::move(laws));
    World world;
    world.system = std::make_shared<MujocoSystem>(model, substeps, std::move(laws));
    return world;
  }
  if (!section->is_table()) section->fail(fmt::format("must be a table, but is {}", section->describe()));
  const Value kind = section->require("kind");
  (void)kind.choice({TableTennisSystem::kKind});
  toml::table out{{"kind", kind.text()}};
  const TableTennisOptions options = table_tennis_options(*section, out);
  resolved.insert("world", std::move(out));
  try {
    return table_tennis(model, substeps, options, std::move(laws));
  } catch (const InputError& e) {
    kind.fail(e.what());
  }
}

}  // namespace kedge
