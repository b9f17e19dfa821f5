#include "kedge/system/task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

Index source_size(const Task& task, Source source) {
  switch (source) {
    case Source::state: return task.nx();
    case Source::action: return task.da();
    case Source::control: return task.system->nu();
    case Source::sensor: return task.system->nsensor();
  }
  return 0;
}

void validate(const Task& task, const Residual& r, const std::vector<char>& active, const std::string& where) {
  const Index size = source_size(task, r.source);
  require(!r.index.empty(), (where + ".index").c_str(), "[]", "not empty");
  for (const Index i : r.index)
    require(i >= 0 && i < size, (where + ".index").c_str(), i, fmt::format("in [0, {})", size).c_str());
  const Index n = r.matrix.size() > 0 ? r.matrix.rows() : static_cast<Index>(r.index.size());
  if (r.matrix.size() > 0)
    require(r.matrix.cols() == static_cast<Index>(r.index.size()), (where + ".matrix columns").c_str(), r.matrix.cols(),
            fmt::format("{}, the number of entries", r.index.size()).c_str());
  require(r.target.size() == n, (where + ".target size").c_str(), r.target.size(), fmt::format("{}", n).c_str());
  require(r.target.allFinite() && r.matrix.allFinite(), (where + ".target").c_str(), "not finite", "finite");
  require(active.size() == static_cast<std::size_t>(task.horizon) + 1, (where + ".active size").c_str(), active.size(),
          "horizon + 1");
  if (r.source == Source::action || r.source == Source::control)
    require(r.needs_action, (where + ".needs_action").c_str(), r.needs_action, "true: actions and controls need one");
  if (r.quaternion) {
    require(r.matrix.size() == 0 && n == 4, (where + ".quaternion").c_str(), n, "4 entries without a matrix");
    require(!r.angle && (r.source == Source::state || r.source == Source::sensor), (where + ".quaternion").c_str(),
            true, "of a state or a sensor, not of angles");
  }
  if (r.needs_action) require(active.back() == 0, (where + ".active").c_str(), "final", "a step with an action");
}

void validate(const Task& task, const Demonstration& shown) {
  require(shown.steps() >= 1 && shown.steps() <= task.horizon, "task.demonstration steps", shown.steps(),
          fmt::format("in [1, {}]", task.horizon).c_str());
  require(shown.state.rows() == task.nx() && shown.state.cols() == shown.action.cols() + 1,
          "task.demonstration.state shape", fmt::format("[{}, {}]", shown.state.rows(), shown.state.cols()),
          fmt::format("[{}, {}]", task.nx(), shown.action.cols() + 1).c_str());
  require(shown.action.rows() == task.da(), "task.demonstration.action rows", shown.action.rows(),
          fmt::format("{}", task.da()).c_str());
  require(shown.state.allFinite() && shown.action.allFinite(), "task.demonstration", "not finite", "finite");
}

/// The vector from which a residual reads.
const double* source(const Residual& spec, VectorIn x, VectorIn a, VectorIn u, VectorIn y) {
  switch (spec.source) {
    case Source::state: return x.data();
    case Source::action: return a.data();
    case Source::control: return u.data();
    case Source::sensor: return y.data();
  }
  return nullptr;
}

/// Rows first ... first + r.size() - 1 of the residual.
void residual_rows(const Residual& spec, const double* from, Index first, VectorOut r) {
  if (spec.quaternion) {
    for (Index j = 0; j < 4; ++j) r[j] = from[spec.index[static_cast<std::size_t>(j)]];
    r *= quaternion_sign(r, spec.target);
    r -= spec.target;
    return;
  }
  if (spec.matrix.size() == 0) {
    for (Index j = 0; j < r.size(); ++j)
      r[j] = from[spec.index[static_cast<std::size_t>(first + j)]] - spec.target[first + j];
    return spec.angle ? wrap(r) : void();
  }
  r = -spec.target.segment(first, r.size());
  for (Index j = 0; j < spec.matrix.cols(); ++j)
    r += spec.matrix.col(j).segment(first, r.size()) * from[spec.index[static_cast<std::size_t>(j)]];
  if (spec.angle) wrap(r);
}

}  // namespace

void wrap(VectorOut angles) {
  for (double& angle : angles) angle = std::remainder(angle, 2.0 * std::numbers::pi);
}

double quaternion_sign(VectorIn q, VectorIn target) { return q.dot(target) < 0.0 ? -1.0 : 1.0; }

Index Task::control(VectorIn a, VectorOut u) const {
  Index beyond = 0;
  u.setZero();
  for (Index i = 0; i < da(); ++i) {
    const double within = limited(i, a[i]);
    beyond += within != a[i];
    u[control_index[static_cast<std::size_t>(i)]] = within;
  }
  return beyond;
}

VectorXd Task::resting_action() const {
  VectorXd middle = 0.5 * (action_low + action_high);
  for (double& m : middle)
    if (!std::isfinite(m)) m = 0.0;
  return middle;
}

double Task::success_limit() const {
  return success.empty() ? std::numeric_limits<double>::quiet_NaN() : success.front().below;
}

void validate(const Task& task) {
  if (!task.system) throw InputError("task.system is missing");
  require(task.horizon >= 1, "task.horizon", task.horizon, ">= 1");
  require(task.control_step > 0 && std::isfinite(task.control_step), "task.control_step", task.control_step, "> 0 s");
  require(!task.observation.empty(), "task.observation", "[]", "not empty");
  for (const Index i : task.observation)
    require(i >= 0 && i < task.nx() + task.system->nsensor(), "task.observation", i,
            fmt::format("in [0, {})", task.nx() + task.system->nsensor()).c_str());
  require(!task.control_index.empty(), "task.control_index", "[]", "not empty");
  for (const Index i : task.control_index)
    require(i >= 0 && i < task.system->nu(), "task.control_index", i,
            fmt::format("in [0, {})", task.system->nu()).c_str());
  require(task.action_low.size() == task.da(), "task.action_low size", task.action_low.size(),
          fmt::format("{}", task.da()).c_str());
  require(task.action_high.size() == task.da(), "task.action_high size", task.action_high.size(),
          fmt::format("{}", task.da()).c_str());
  for (Index i = 0; i < task.da(); ++i)
    if (!(task.action_low[i] < task.action_high[i]))
      throw InputError(
          fmt::format("task.action limits [{}, {}], but low must be < high", task.action_low[i], task.action_high[i]));
  require(task.start.mean.size() == task.nx() && task.start.mean.allFinite(), "task.start.mean size",
          task.start.mean.size(), fmt::format("{} finite numbers", task.nx()).c_str());
  require(
      task.start.spread.size() == task.nx() && (task.start.spread.array() >= 0).all() && task.start.spread.allFinite(),
      "task.start.spread size", task.start.spread.size(), fmt::format("{} numbers >= 0", task.nx()).c_str());
  for (const Index i : task.context)
    require(i >= 0 && i < task.nx(), "task.context", i, fmt::format("in [0, {})", task.nx()).c_str());
  require(!task.cost.empty(), "task.cost", "[]", "not empty");
  for (const CostTerm& term : task.cost) {
    const std::string where = "task.cost." + term.name;
    validate(task, term.residual, term.active, where);
    require(term.weight.size() == term.residual.target.size() && (term.weight.array() >= 0).all() &&
                term.weight.allFinite(),
            (where + ".weight size").c_str(), term.weight.size(), "as many numbers >= 0 as the target has");
    if (term.norm == Norm::distance)
      require(term.width >= 0 && std::isfinite(term.width), (where + ".width").c_str(), term.width, ">= 0");
    if (term.norm == Norm::smooth || term.norm == Norm::bounded)
      require(term.width > 0 && std::isfinite(term.width), (where + ".width").c_str(), term.width, "> 0");
  }
  for (const Success& success : task.success) {
    validate(task, success.residual, success.active, "task.success");
    require(success.below > 0, "task.success.below", success.below, "> 0");
  }
  const std::vector<char> always(static_cast<std::size_t>(task.horizon) + 1, 1);
  for (const Termination& end : task.termination) {
    const std::string where = "task.termination." + end.name;
    validate(task, end.residual, always, where);
    const Index n = end.residual.target.size();
    require(end.low.size() == n && end.high.size() == n && (end.low.array() < end.high.array()).all(),
            (where + ".low, high").c_str(), end.low.size(), fmt::format("{} ranges, low < high", n).c_str());
    require(end.cost >= 0 && std::isfinite(end.cost), (where + ".cost").c_str(), end.cost, ">= 0");
    require(end.missing_step >= 0 && std::isfinite(end.missing_step), (where + ".missing_step").c_str(),
            end.missing_step, ">= 0");
  }
  if (task.demonstration) validate(task, *task.demonstration);
}

Task shortened(Task task, int horizon) {
  require(horizon >= 1 && horizon <= task.horizon, "horizon", horizon, fmt::format("in [1, {}]", task.horizon).c_str());
  const auto shorten = [&](std::vector<char>& active) { active.erase(active.begin() + horizon, active.end() - 1); };
  for (CostTerm& term : task.cost) shorten(term.active);
  for (Success& success : task.success) shorten(success.active);
  task.horizon = horizon;
  return task;
}

VectorXd sample_start(const StartDistribution& start, Stream& noise) {
  VectorXd x = start.mean;
  for (Index i = 0; i < x.size(); ++i) {
    const double z = start.kind == StartDistribution::Kind::gaussian ? noise.normal() : 2.0 * noise.uniform() - 1.0;
    x[i] += start.spread[i] * z;
  }
  return x;
}

namespace {

/// The x, y and z of one or more positions, "site:hook[0] - site:bin[0]" and so on, as the file names them:
/// "site:hook - site:bin". Empty if the rows are something else.
std::string of_positions(const std::vector<std::string>& rows) {
  std::string all;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::string row = rows[i];
    const std::string index = fmt::format("[{}]", i);
    int positions = 0;
    for (const char* kind : {"site:", "body:", "com"})
      for (std::size_t at = row.find(kind); at != std::string::npos; at = row.find(kind, at + 1)) ++positions;
    int found = 0;
    for (std::size_t at = row.find(index); at != std::string::npos; at = row.find(index)) {
      row.erase(at, index.size());
      ++found;
    }
    if (found == 0 || found != positions || row.find('[') != std::string::npos || (i > 0 && row != all)) return "";
    all = row;
  }
  return rows.size() == 3 ? all : "";
}

}  // namespace

std::string residual_text(const Residual& r) {
  constexpr Index most = 6;  // rows
  const char* source = std::array{"state", "action", "control", "sensor"}[static_cast<std::size_t>(r.source)];
  const auto entry = [&](Index j) {
    const auto at = static_cast<std::size_t>(j);
    return at < r.names.size() ? r.names[at] : fmt::format("{}[{}]", source, r.index[at]);
  };
  const auto signed_number = [](std::string& text, double value, const std::string& name) {
    if (value == 0.0) return;
    const char* sign = text.empty() ? (value < 0 ? "-" : "") : (value < 0 ? " - " : " + ");
    const double size = std::abs(value);
    const std::string factor =
        size != 1.0 || name.empty() ? fmt::format("{:.6g}{}", size, name.empty() ? "" : " ") : "";
    text = fmt::format("{}{}{}{}", text, sign, factor, name);
  };
  std::vector<std::string> rows;
  for (Index i = 0; i < std::min(most, r.target.size()); ++i) {
    std::string row;
    if (r.matrix.size() == 0)
      row = entry(i);
    else
      for (Index j = 0; j < r.matrix.cols(); ++j) signed_number(row, r.matrix(i, j), entry(j));
    if (row.empty()) row.assign(1, '0');
    rows.push_back(std::move(row));
  }
  if (const std::string positions = of_positions(rows); !positions.empty() && r.target.size() == 3) {
    const bool origin = r.target.isZero(0.0);
    return fmt::format("{}{}", positions,
                       origin ? "" : fmt::format(" - ({:.6g}, {:.6g}, {:.6g})", r.target[0], r.target[1], r.target[2]));
  }
  for (std::size_t i = 0; i < rows.size(); ++i) signed_number(rows[i], -r.target[static_cast<Index>(i)], "");
  if (r.target.size() > most) rows.push_back(fmt::format("... ({} in all)", r.target.size()));
  return fmt::format("{}{}", fmt::join(rows, ", "), r.angle ? ", as angles" : r.quaternion ? ", as one attitude" : "");
}

std::string success_text(const Success& success, const std::string& steps) {
  const char* what =
      std::array{"mean |", "largest |", "largest distance |"}[static_cast<std::size_t>(success.statistic)];
  return fmt::format("{}{}| at steps {} < {}", what, residual_text(success.residual), steps, success.below);
}

void residual(const Residual& spec, VectorIn x, VectorIn a, VectorIn u, VectorIn y, VectorOut r) {
  residual_rows(spec, source(spec, x, a, u, y), 0, r);
}

const Termination* termination_at(const Task& task, VectorIn x, VectorIn y) {
  constexpr Index rows = 16;  // at once, as in term_value
  alignas(64) double few[rows];
  const VectorXd none;
  for (const Termination& end : task.termination) {
    const double* from = source(end.residual, x, none, none, y);
    const Index n = end.residual.target.size();
    for (Index first = 0; first < n; first += rows) {
      Eigen::Map<VectorXd> r(few, std::min(rows, n - first));
      residual_rows(end.residual, from, first, r);
      const auto low = end.low.segment(first, r.size()).array(), high = end.high.segment(first, r.size()).array();
      if (!((r.array() >= low) && (r.array() <= high)).all()) return &end;
    }
  }
  return nullptr;
}

double term_value(const CostTerm& term, VectorIn x, VectorIn a, VectorIn u, VectorIn y) {
  constexpr Index rows = 16;     // at once: rollouts call this at every step, it stays off the heap
  alignas(64) double few[rows];  // aligned: Eigen's rounding depends on where vector instructions begin
  const double* from = source(term.residual, x, a, u, y);
  const Index n = term.residual.target.size();
  double value = 0.0;
  for (Index first = 0; first < n; first += rows) {
    Eigen::Map<VectorXd> r(few, std::min(rows, n - first));
    residual_rows(term.residual, from, first, r);
    for (Index j = 0; j < r.size(); ++j) {
      const double w = term.weight[first + j];
      switch (term.norm) {
        case Norm::quadratic: value += w * r[j] * r[j]; break;
        case Norm::absolute: value += w * std::abs(r[j]); break;
        case Norm::smooth: value += w * (std::hypot(r[j], term.width) - term.width); break;
        case Norm::bounded: {
          const double square = r[j] * r[j], most = term.width * term.width;
          value += w * square * most / (square + most);
          break;
        }
        case Norm::distance: value += w * r[j] * r[j]; break;
      }
    }
  }
  return term.norm == Norm::distance ? std::sqrt(value + term.width * term.width) - term.width : value;
}

Index driver_of(const Task& task, Index control) {
  for (Index action = task.da() - 1; action >= 0; --action)
    if (task.control_index[static_cast<std::size_t>(action)] == control) return action;
  return -1;
}

}  // namespace kedge
