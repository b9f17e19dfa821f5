#include "kedge/algorithms/ilqr.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "kedge/algorithms/requirements.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/core/errors.h"
#include "kedge/evaluation/trajectory_cost.h"

namespace kedge {

namespace {

/// Iterations after which the worse half of the race is left behind.
constexpr int kHeat = 10;

/// Where no action changes what costs, no iteration can.
constexpr const char* kUnmovedText =
    "; no action changes the cost there: a cost that leads to the aim is missing, or none of the first trajectories "
    "comes near it (raise initial_noise or starts)";

/// An open-loop policy of these actions, of unit variance.
TvLinearGaussian without_feedback(const Task& task, const MatrixXd& a) {
  TvLinearGaussian policy =
      TvLinearGaussian::constant(task.horizon, task.ds(), VectorXd::Zero(task.da()), VectorXd::Ones(task.da()));
  for (int t = 0; t < task.horizon; ++t) policy[t].k = a.col(t);
  return policy;
}

/// Adds noise to the first actions of a start: none to start 0, a third of `std` to the even ones. @param std [da]
MatrixXd with_noise(MatrixXd a, const VectorXd& std, int start, std::uint64_t seed) {
  const double share = start == 0 ? 0.0 : start % 2 == 1 ? 1.0 : 1.0 / 3.0;
  VectorXd noise(a.rows());
  for (Index t = 0; t < a.cols() && start > 0; ++t) {
    Stream(seed, streams::first_actions.iteration(0), streams::first_actions.rollout(start - 1),
           static_cast<std::uint32_t>(t))
        .normal(noise);
    a.col(t).array() += share * std.array() * noise.array();
  }
  return a;
}

/// Share of action entries beyond their limits.
double saturated(const Task& task, const MatrixXd& a) {
  Index count = 0;
  for (Index t = 0; t < a.cols(); ++t)
    count += ((a.col(t).array() < task.action_low.array()) || (a.col(t).array() > task.action_high.array())).count();
  return static_cast<double>(count) / static_cast<double>(a.size());
}

/// One trajectory of the race, with what its last iteration brought.
struct Racer {
  std::unique_ptr<Ilqr> solver;
  bool ended = false;
  IlqrIteration done = {};
  std::optional<IlqrStop> stop = {};  ///< why the last iteration made no step
  std::string text = {};              ///< of its end
};
using Race = std::vector<Racer>;

/// What the race simulated, and why it lost a trajectory.
struct Effort {
  std::int64_t rollouts = 0, steps = 0;
  std::string loss;
};

std::vector<IlqrRacer> saved(const Race& race) {
  std::vector<IlqrRacer> racers;
  for (const Racer& racer : race)
    racers.push_back({racer.solver->point().path.a, racer.solver->point().lambda, racer.ended ? 1 : 0});
  return racers;
}

/// The first trajectories of a run: that without noise, and those with it.
std::vector<IlqrRacer> starts(const Task& task, const IlqrRacer& quiet, const IlqrOptions& options,
                              std::uint64_t seed) {
  const VectorXd std = action_numbers(task, options.initial_noise, "initial_noise");
  std::vector<IlqrRacer> racers = {quiet};
  for (int start = 1; start < options.starts && (std.array() > 0.0).any(); ++start)
    racers.push_back({with_noise(quiet.action, std, start, seed), quiet.lambda});
  return racers;
}

/// Rolls the trajectories out. Those that diverge do not take part, nor do any after a stop request.
Race begin_race(const IlqrProblem& problem, const IlqrOptions& options, const std::vector<IlqrRacer>& racers,
                SystemClones& clones, const Run& run, Effort& effort) {
  Race race;
  for (const IlqrRacer& racer : racers) {
    if (run.stop.stop_requested()) break;
    auto solver = std::make_unique<Ilqr>(problem, options, clones);
    const bool began = solver->start(open_loop(racer.action), racer.lambda);
    ++effort.rollouts;
    effort.steps += solver->simulated_steps();
    if (!began) {
      if (effort.loss.empty()) effort.loss = solver->message();
      continue;
    }
    race.push_back({std::move(solver), racer.ended != 0});
    if (racer.ended != 0) race.back().text = fmt::format("converged: cost {:.6g}", race.back().solver->unscaled_cost());
  }
  return race;
}

/// Improves every trajectory by one step. Those around which the simulation diverges are left behind.
/// @return false: a stop was requested
bool improve(Race& race, const Run& run, Effort& effort) {
  for (Racer& racer : race) {
    racer.done = {};
    racer.stop.reset();
    if (racer.ended) continue;
    if (run.stop.stop_requested()) return false;
    const std::int64_t before = racer.solver->simulated_steps();
    racer.stop = racer.solver->iterate(racer.done);
    effort.rollouts += racer.done.rollouts;
    effort.steps += racer.solver->simulated_steps() - before;
    racer.ended = racer.stop || racer.solver->settled(racer.done);
    if (racer.ended) racer.text = racer.stop ? racer.solver->message() : racer.solver->settled_text(racer.done);
    if (racer.stop == IlqrStop::converged && racer.done.gradient == 0.0 && racer.solver->point().cost > 0.0)
      racer.text += kUnmovedText;
    if (racer.stop == IlqrStop::diverged) effort.loss = racer.text;
  }
  std::erase_if(race, [](const Racer& racer) { return racer.stop == IlqrStop::diverged; });
  return true;
}

/// The trajectory of the least cost; of equal ones the first.
std::size_t best_of(const Race& race) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < race.size(); ++i)
    if (race[i].solver->point().cost < race[best].solver->point().cost) best = i;
  return best;
}

/// Returns the policy around the best trajectory. Those that have none are left behind.
/// @param best its place in the race
std::optional<TrajectoryPolicy> policy_of_best(Race& race, std::size_t& best, Effort& effort) {
  while (!race.empty()) {
    best = best_of(race);
    if (std::optional<TrajectoryPolicy> policy = race[best].solver->policy()) return policy;
    effort.loss = race[best].solver->message();
    race.erase(race.begin() + static_cast<std::ptrdiff_t>(best));
  }
  return std::nullopt;
}

/// Leaves the worse half behind.
void drop_worse_half(Race& race) {
  std::vector<std::size_t> order(race.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return race[i].solver->point().cost; });
  order.resize((race.size() + 1) / 2);
  std::ranges::sort(order);
  Race left;
  for (const std::size_t i : order) left.push_back(std::move(race[i]));
  race = std::move(left);
}

/// @param best of the race  @param rollouts of the line searches  @param after state of the loop after iteration `number`
Iteration report(const Task& task, const Racer& best, double scale, std::int64_t rollouts, int number,
                 const IlqrState& after) {
  const Trajectory& path = best.solver->point().path;
  const IlqrIteration& done = best.done;
  const double value = -path.cost.sum();
  const bool success = path.success < task.success_limit();
  Iteration it;
  it.metrics = {
      {"iteration", static_cast<double>(number)},
      {"rollouts_total", static_cast<double>(after.rollouts_total)},
      {"steps_total", static_cast<double>(after.steps_total)},
      {"return_mean", value},
      {"return_std", 0.0},
      {"return_min", value},
      {"return_max", value},
      {"improvement_predicted", done.predicted / scale},
      {"improvement_realised", done.realised / scale},
      {"return_median", value},
      {"success_rate", success ? 1.0 : 0.0},
      {"trajectories", static_cast<double>(after.race.size())},
      {"lambda", done.lambda},
      {"step_size", done.step},
      {"gradient_max", done.gradient / scale},
      {"line_search_rollouts", static_cast<double>(rollouts)},
      {"saturated_share", saturated(task, path.a)},
  };
  return it;
}

/// The end of a run whose first trajectory already is stationary.
std::string stationary_text(const std::string& message) {
  return message +
         "; the first trajectory is stationary, and nothing pushes it off. If it does not do the task, set starts=16, "
         "or give a demonstration";
}

/// Checks a state. @throws InputError unless its trajectories fit the task
void require_race(const Task& task, const std::vector<IlqrRacer>& race) {
  require(!race.empty(), "state trajectories", 0, ">= 1");
  for (const IlqrRacer& racer : race)
    require(racer.action.rows() == task.da() && racer.action.cols() == task.horizon, "state actions",
            fmt::format("{}x{}", racer.action.rows(), racer.action.cols()),
            fmt::format("{}x{}", task.da(), task.horizon).c_str());
}

}  // namespace

void require_full_state(const Task& task) {
  bool whole = task.ds() == task.nx();
  for (Index i = 0; whole && i < task.nx(); ++i) whole = task.observation[static_cast<std::size_t>(i)] == i;
  if (!whole)
    throw InputError(fmt::format(
        "task {}: the policy sees {} of the {} entries of the state, but ilqr needs the whole state, in order",
        task.name, task.ds(), task.nx()));
}

IlqrState ilqr_start(const Task& task, const IlqrOptions& options) {
  options.validate();
  validate(task);
  require_whole_episodes(task, "ilqr");
  require_markov(task, "ilqr");
  require_full_state(task);
  require_action_costs(task, options.box);
  static_cast<void>(action_numbers(task, options.initial_noise, "initial_noise"));
  IlqrState state;
  state.race = {{first_actions(task), options.lambda}};
  state.policy = without_feedback(task, state.race.front().action);
  return state;
}

IlqrResult ilqr(const Task& task, IlqrState state, const IlqrOptions& options, const Run& run,
                const IlqrObserver& observe) {
  options.validate();
  require_fit(task, state, state.policy, {});
  require_whole_episodes(task, "ilqr");
  require_markov(task, "ilqr");
  require_full_state(task);
  require(run.threads >= 1, "threads", run.threads, ">= 1");
  require_race(task, state.race);
  const IlqrProblem problem{task, options.cost_scale, nullptr, task.start.mean};
  SystemClones clones(*task.system, run.threads);

  // The first trajectories, or those of a run that goes on: they follow from their actions
  const bool begins = state.iteration == 0;
  const std::vector<IlqrRacer> racers = begins ? starts(task, state.race.front(), options, run.seed) : state.race;
  Loop<IlqrState> loop(std::move(state), options.iterations, run, observe);
  Effort effort;
  Race race;
  if (loop.iteration() < options.iterations) race = begin_race(problem, options, racers, clones, run, effort);
  if (!begins) effort = {};  // it was counted when they were made

  while (loop.next()) {
    // Improve every trajectory by one step, or find that it has converged
    const std::int64_t before = effort.rollouts;
    if (!improve(race, run, effort)) return loop.end(cancelled());

    // The policy is that around the best
    std::size_t best = 0;
    std::optional<TrajectoryPolicy> policy = policy_of_best(race, best, effort);
    if (!policy) return loop.end(failure(effort.loss));
    IlqrState next = loop.state();
    next.policy = to_tv_linear_gaussian(*policy, tangent_maps(*task.system, policy->x));
    const Racer& leader = race[best];
    if (std::ranges::none_of(race, [](const Racer& racer) { return racer.done.step > 0.0; })) {
      // Where nothing better is found, what was found is the result; where nothing was, the run has failed.
      if (leader.stop == IlqrStop::no_step && loop.iteration() == 0) return loop.end(failure(leader.text));
      const bool stationary = loop.iteration() == 0 && race.size() == 1 && leader.solver->point().cost > 0.0;
      return loop.converged(
          std::move(next), stationary && !task.demonstration ? stationary_text(leader.solver->message()) : leader.text);
    }
    loop.lap("optimisation");

    next.rollouts_total += effort.rollouts;
    next.steps_total += effort.steps;
    next.last_return_mean = -leader.solver->point().path.cost.sum();
    next.race = saved(race);
    Iteration it = report(task, leader, options.cost_scale, effort.rollouts - before, loop.iteration(), next);
    const std::string text = leader.text;

    // After every heat the worse half is left behind
    if ((loop.iteration() + 1) % kHeat == 0) {
      drop_worse_half(race);
      next.race = saved(race);
    }
    loop.commit(std::move(next), std::move(it));
    if (std::ranges::all_of(race, &Racer::ended)) return loop.converged(loop.state(), text);
    effort = {};
  }
  return loop.done();
}

}  // namespace kedge
