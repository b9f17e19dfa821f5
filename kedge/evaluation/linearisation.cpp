#include "kedge/evaluation/linearisation.h"

#include <algorithm>

#include "kedge/core/parallel.h"
#include "kedge/system/differentiable.h"

namespace kedge {

namespace {

/// Differences at one step of a trajectory. Allocates once, not for every simulation.
class Differences {
 public:
  Differences(const Task& task, System& system, VectorIn x, VectorIn a, bool sensors)
      : task_(task),
        system_(system),
        x_(x),
        a_(a),
        u_(VectorXd::Zero(system.nu())),
        dx_(VectorXd::Zero(system.ndx())),
        sensors_(sensors),
        plus_(system),
        minus_(system),
        centre_(system) {
    if (a.size() > 0) task.control(a, u_);
  }

  /// All derivatives of this step by the system itself, where it has a quick way to them.
  Differentiable::Outcome by_system(const LinearisationOptions& options, MatrixXd& A, MatrixXd& B, MatrixXd& C,
                                    MatrixXd& D) {
    auto* system = dynamic_cast<Differentiable*>(&system_);
    if (!system) return Differentiable::Outcome::unsupported;
    DifferenceSteps steps{options.centred, options.state_step, options.action_step, VectorXd::Zero(system_.nu()),
                          sensors_};
    for (Index i = 0; i < a_.size(); ++i)
      if (moves(i)) steps.control_step[control(i)] = inward_step(i, options);
    StepDerivatives d;
    const Differentiable::Outcome outcome = system->derivatives(x_, u_, steps, d);
    if (outcome != Differentiable::Outcome::found) return outcome;
    A = d.A;
    if (sensors_) C = d.C;
    B.setZero();
    D.setZero();
    for (Index i = 0; i < a_.size(); ++i) {
      if (!moves(i)) continue;
      B.col(i) = d.B.col(control(i));
      if (sensors_) D.col(i) = d.D.col(control(i));
    }
    return outcome;
  }

  /// The derivative by dx_j is (f(x (+) h e_j) (-) f(x (-) h e_j)) / (2 h).
  bool by_state(Index j, const LinearisationOptions& options, VectorOut df, VectorOut dy) {
    const double h = options.state_step;
    if (!from_moved_state(j, h, plus_)) return false;
    if (options.centred ? !from_moved_state(j, -h, minus_) : !centre()) return false;
    divide(plus_, options.centred ? minus_ : centre_, options.centred ? 2.0 * h : h, df, dy);
    return true;
  }

  /// Near a limit both evaluations lie on its inner side, at distances h and 2 h: (4 f(h) - f(2 h) - 3 f(0)) / (2 h).
  bool by_action(Index i, const LinearisationOptions& options, VectorOut df, VectorOut dy) {
    df.setZero();
    dy.setZero();
    if (!moves(i)) return true;
    const double h = options.action_step, step = inward_step(i, options);
    if (!options.centred) {
      if (!from_moved_action(i, step, plus_) || !centre()) return false;
      divide(plus_, centre_, step, df, dy);
      return true;
    }
    if (std::min(above(i), below(i)) >= h) {
      if (!from_moved_action(i, h, plus_) || !from_moved_action(i, -h, minus_)) return false;
      divide(plus_, minus_, 2.0 * h, df, dy);
      return true;
    }
    if (!from_moved_action(i, step, plus_) || !from_moved_action(i, 2.0 * step, minus_) || !centre()) return false;
    divide(plus_, centre_, 0.5 * step, df, dy);
    system_.difference(centre_.x, minus_.x, dx_);
    df -= dx_ / (2.0 * step);
    dx_.setZero();
    if (sensors_) dy -= (minus_.y - centre_.y) / (2.0 * step);
    return true;
  }

  /// Sensors of the final state, without an action.
  bool final_sensors(Index j, const LinearisationOptions& options, VectorOut dy) {
    const double h = options.state_step;
    if (!settle(j, h, plus_) || !settle(j, options.centred ? -h : 0.0, minus_)) return false;
    dy = (plus_.y - minus_.y) / (options.centred ? 2.0 * h : h);
    return true;
  }

 private:
  struct Outcome {
    VectorXd from, x, y;
    explicit Outcome(const System& s) : from(s.nx()), x(s.nx()), y(s.nsensor()) {}
  };

  [[nodiscard]] Index control(Index i) const { return task_.control_index[static_cast<std::size_t>(i)]; }
  [[nodiscard]] double above(Index i) const { return task_.action_high[i] - a_[i]; }
  [[nodiscard]] double below(Index i) const { return a_[i] - task_.action_low[i]; }
  /// Does the action move anything?
  [[nodiscard]] bool moves(Index i) const { return above(i) >= 0.0 && below(i) >= 0.0 && !overruled(i); }
  /// A step away from the nearer limit, such that twice as much is within limits too where the differences need it.
  [[nodiscard]] double inward_step(Index i, const LinearisationOptions& options) const {
    const double room = std::max(above(i), below(i)),
                 step = std::min(options.action_step, (options.centred ? 0.5 : 1.0) * room);
    return above(i) >= below(i) ? step : -step;
  }
  /// A later action that drives the same control is the one that counts.
  [[nodiscard]] bool overruled(Index i) const {
    for (Index later = i + 1; later < a_.size(); ++later)
      if (control(later) == control(i)) return true;
    return false;
  }

  bool step(VectorIn from, Outcome& to) {
    system_.reset(from);
    if (!system_.step(u_)) return false;
    system_.state(to.x);
    if (!sensors_) return true;
    system_.sensors(to.y);
    return to.y.allFinite();
  }
  void move_state(Index j, double h, Outcome& to) {
    dx_[j] = h;
    system_.integrate(x_, dx_, to.from);
    dx_[j] = 0.0;
  }
  bool from_moved_state(Index j, double h, Outcome& to) {
    move_state(j, h, to);
    return step(to.from, to);
  }
  bool from_moved_action(Index i, double h, Outcome& to) {
    double& u = u_[control(i)];
    u = a_[i] + h;
    const bool fine = step(x_, to);
    u = a_[i];
    return fine;
  }
  bool settle(Index j, double h, Outcome& to) {
    move_state(j, h, to);
    system_.reset(to.from);
    system_.settle();
    system_.sensors(to.y);
    return to.y.allFinite();
  }
  bool centre() {
    if (!has_centre_) has_centre_ = step(x_, centre_);
    return has_centre_;
  }
  void divide(const Outcome& to, const Outcome& from, double distance, VectorOut df, VectorOut dy) {
    system_.difference(from.x, to.x, df);
    df /= distance;
    if (sensors_) dy = (to.y - from.y) / distance;
  }

  const Task& task_;
  System& system_;
  VectorXd x_, a_, u_, dx_;
  bool sensors_, has_centre_ = false;
  Outcome plus_, minus_, centre_;
};

}  // namespace

bool reads_sensors(const Task& task) {
  const auto reads = [](const auto& item) { return item.residual.source == Source::sensor; };
  return std::any_of(task.cost.begin(), task.cost.end(), reads) ||
         std::any_of(task.success.begin(), task.success.end(), reads);
}

Linearisation linearise(const Task& task, MatrixIn x, MatrixIn a, const LinearisationOptions& options,
                        SystemClones& clones) {
  const Index T = a.cols(), da = task.da(), ndx = task.system->ndx();
  const bool sensors = reads_sensors(task);
  const Index ny = sensors ? task.system->nsensor() : 0;
  Linearisation lin;
  lin.A.assign(static_cast<std::size_t>(T), MatrixXd(ndx, ndx));
  lin.B.assign(static_cast<std::size_t>(T), MatrixXd(ndx, da));
  lin.C.assign(static_cast<std::size_t>(T) + 1, MatrixXd(ny, ndx));
  lin.D.assign(static_cast<std::size_t>(T), MatrixXd(ny, da));
  std::vector<char> diverged(static_cast<std::size_t>(T) + 1, 0);
  std::vector<std::string> why(static_cast<std::size_t>(T) + 1);

  parallel_for(sensors ? T + 1 : T, clones.threads(), [&](Index time, int worker) {
    const auto t = static_cast<std::size_t>(time);
    MatrixXd& C = lin.C[t];
    bool fine = true;
    if (time == T) {
      Differences at(task, clones.of(worker), x.col(time), VectorXd(), sensors);
      for (Index j = 0; j < ndx && fine; ++j) fine = at.final_sensors(j, options, C.col(j));
    } else {
      Differences at(task, clones.of(worker), x.col(time), a.col(time), sensors);
      const Differentiable::Outcome outcome = at.by_system(options, lin.A[t], lin.B[t], C, lin.D[t]);
      if (outcome == Differentiable::Outcome::found) return;
      fine = outcome != Differentiable::Outcome::diverged;
      for (Index j = 0; j < ndx && fine; ++j) fine = at.by_state(j, options, lin.A[t].col(j), C.col(j));
      for (Index i = 0; i < da && fine; ++i) fine = at.by_action(i, options, lin.B[t].col(i), lin.D[t].col(i));
    }
    diverged[t] = !fine;
    if (!fine) why[t] = clones.of(worker).trouble();
  });
  const auto first = std::find(diverged.begin(), diverged.end(), 1);
  if (first == diverged.end()) return lin;
  lin.diverged_at = static_cast<int>(first - diverged.begin());
  lin.why = std::move(why[static_cast<std::size_t>(lin.diverged_at)]);
  return lin;
}

std::vector<MatrixXd> tangent_maps(const System& system, MatrixIn x) {
  std::vector<MatrixXd> maps(static_cast<std::size_t>(x.cols()), MatrixXd(system.nx(), system.ndx()));
  for (Index t = 0; t < x.cols(); ++t) system.tangent(x.col(t), maps[static_cast<std::size_t>(t)]);
  return maps;
}

}  // namespace kedge
