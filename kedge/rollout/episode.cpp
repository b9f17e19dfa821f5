#include "kedge/rollout/episode.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kedge/core/errors.h"

namespace kedge {

Episode::Episode(const Task& task, System& system)
    : task_(&task), system_(&system), x_(task.nx()), next_(task.nx()), s_(VectorXd::Zero(task.ds())) {
  const auto reads_sensors = [](const Termination& end) { return end.residual.source == Source::sensor; };
  looks_ = task.observes_sensors() || std::ranges::any_of(task.termination, reads_sensors);
  if (looks_) y_ = VectorXd::Zero(system.nsensor());
  now_.control = VectorXd::Zero(system.nu());
  now_.sensors = VectorXd::Zero(system.nsensor());
  now_.terms = VectorXd::Zero(static_cast<Index>(task.cost.size()));
  if (!task.success.empty()) residual_.resize(task.success.front().residual.target.size());
}

void Episode::reset(VectorIn x0) {
  require(x0.size() == task_->nx(), "initial state size", x0.size(), fmt::format("{}", task_->nx()).c_str());
  require(x0.allFinite(), "initial state", "not finite", "finite");
  system_->reset(x0);
  system_->state(x_);
  time_ = 0;
  phase_ = Phase::running;
  ended_ = nullptr;
  why_.clear();
  residual_sum_ = residual_max_ = 0.0;
  residual_count_ = 0;
  if (look())
    observe();
  else
    diverge(bad_sensors());
}

const EpisodeStep& Episode::step(VectorIn a) {
  require_phase(time_ < task_->horizon && !ended_, "step");
  if (a.size() != task_->da())  // the text is made only where it is needed: this is called for every step
    require(false, "action size", a.size(), fmt::format("{}", task_->da()).c_str());
  now_.diverged = false;
  now_.limited = task_->control(a, now_.control);
  if (!a.allFinite()) return diverge("the action is not finite");
  if (!system_->step(now_.control)) return diverge(system_->trouble());
  system_->sensors(now_.sensors);
  if (!evaluate(a)) return diverge(bad_cost());
  system_->state(next_);
  if (!next_.allFinite()) return diverge("the state is not finite");
  if (!look()) return diverge(bad_sensors());
  x_.swap(next_);
  observe();
  ++time_;
  ended_ = termination_at(*task_, x_, y_);
  return now_;
}

const EpisodeStep& Episode::finish() {
  require_phase(time_ == task_->horizon || ended_, "finish");
  now_.diverged = false;
  now_.limited = 0;
  now_.control.setZero();
  if (ended_) {
    now_.sensors.setZero();
    now_.terms.setZero();
    now_.cost = ended_->cost + ended_->missing_step * (task_->horizon - time_);
    phase_ = Phase::finished;
    return now_;
  }
  system_->settle();
  system_->sensors(now_.sensors);
  if (!evaluate(VectorXd())) {
    std::string why = system_->trouble();
    return diverge(why.empty() ? bad_cost() : std::move(why));
  }
  phase_ = Phase::finished;
  return now_;
}

double Episode::success() const {
  if (phase_ != Phase::finished || ended_ || residual_count_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return task_->success.front().statistic == Success::Statistic::mean_abs
             ? residual_sum_ / static_cast<double>(residual_count_)
             : residual_max_;
}

void Episode::require_phase(bool ok, const char* call) const {
  if (phase_ == Phase::running && ok) return;
  std::string state = fmt::format("has made {} of {} steps", time_, task_->horizon);
  if (ended_) state = fmt::format("has ended early at state {}", time_);
  if (phase_ == Phase::idle) state = "was not begun";
  if (phase_ == Phase::diverged) state = fmt::format("has diverged at step {}", time_);
  if (phase_ == Phase::finished) state = "is finished";
  throw InputError(fmt::format("episode: {} is impossible, because it {}", call, state));
}

/// Reads the sensors where the simulation is now, if anything needs them before the next step.
/// @return false if they are not finite
bool Episode::look() {
  if (!looks_) return true;
  system_->settle();
  system_->sensors(y_);
  return y_.allFinite();
}

void Episode::observe() {
  const Index nx = x_.size();
  for (std::size_t i = 0; i < task_->observation.size(); ++i) {
    const Index from = task_->observation[i];
    s_[static_cast<Index>(i)] = from < nx ? x_[from] : y_[from - nx];
  }
}

/// Costs and success at x_t, the present control and sensors. @param a [da], or empty at the final state
/// @return false if a cost is not finite
bool Episode::evaluate(VectorIn a) {
  const Eigen::Ref<const VectorXd> x = x_, u = now_.control, y = now_.sensors;  // made once: it costs as much as a term
  const auto t = static_cast<std::size_t>(time_);
  now_.cost = 0.0;
  bool finite = true;  // every term, also those that are not active now: regressions at other steps read them
  for (std::size_t i = 0; i < task_->cost.size(); ++i) {
    const CostTerm& term = task_->cost[i];
    const bool defined = time_ < task_->horizon || !term.residual.needs_action;
    const double value = defined ? term_value(term, x, a, u, y) : 0.0;
    now_.terms[static_cast<Index>(i)] = value;
    finite = finite && std::isfinite(value);
    if (term.active[t]) now_.cost += value;
  }
  if (!task_->success.empty() && task_->success.front().active[t]) measure(x, a, u, y);
  return finite && std::isfinite(now_.cost);
}

void Episode::measure(VectorIn x, VectorIn a, VectorIn u, VectorIn y) {
  const Success& success = task_->success.front();
  residual(success.residual, x, a, u, y, residual_);
  residual_sum_ += residual_.lpNorm<1>();
  residual_max_ = std::max(residual_max_, success.statistic == Success::Statistic::max_distance
                                              ? residual_.norm()
                                              : residual_.lpNorm<Eigen::Infinity>());
  residual_count_ += residual_.size();
}

std::string Episode::bad_sensors() const {
  std::string why = system_->trouble();
  return why.empty() ? "a sensor is not finite" : why;
}

std::string Episode::bad_cost() const {
  for (std::size_t i = 0; i < task_->cost.size(); ++i)
    if (!std::isfinite(now_.terms[static_cast<Index>(i)]))
      return fmt::format("cost {} is not finite", task_->cost[i].name);
  return "the cost is not finite";
}

MatrixXd observations(const Task& task, MatrixIn x) {
  if (!task.observes_sensors()) return x(task.observation, Eigen::all);
  const auto system = task.system->clone();
  Episode episode(task, *system);
  MatrixXd s(task.ds(), x.cols());
  for (Index n = 0; n < x.cols(); ++n) {
    episode.reset(x.col(n));
    if (episode.diverged()) throw InputError(fmt::format("task {}: {} at the start", task.name, episode.why()));
    s.col(n) = episode.observation();
  }
  return s;
}

const EpisodeStep& Episode::diverge(std::string why) {
  why_ = std::move(why);
  phase_ = Phase::diverged;
  now_.diverged = true;
  now_.sensors.setZero();
  now_.terms.setZero();
  now_.cost = 0.0;
  return now_;
}

}  // namespace kedge
