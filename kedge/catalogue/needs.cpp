#include "kedge/catalogue/needs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kedge/algorithms/controllers.h"
#include "kedge/algorithms/time_varying.h"
#include "kedge/core/parallel.h"
#include "kedge/math/gated_network.h"
#include "kedge/math/gaussian_mixture.h"
#include "kedge/math/hermite.h"

namespace kedge {

namespace {

constexpr double kNumber = sizeof(double);
constexpr double kTooManyBeyond = 0.1;  ///< share of the actions, as where training warns

double as_double(Index n) { return static_cast<double>(n); }

/// Bytes of one rollout of so many steps: states, observations, actions, costs.
double rollout_bytes(const Task& task, int steps) {
  const double numbers = as_double(task.nx() + task.ds() + task.da() + static_cast<Index>(task.cost.size()) + 1);
  return kNumber * (steps + 1) * numbers;
}

double batch_bytes(const Task& task, double rollouts) { return rollouts * rollout_bytes(task, task.horizon); }

/// The largest share of half the range, as a round number of percents, that leaves few enough actions beyond the limits.
double fitting_share(const Task& task) {
  for (const double share : {0.5, 0.3, 0.2, 0.1}) {
    VectorXd std(task.da());
    for (Index i = 0; i < task.da(); ++i) {
      const double half = 0.5 * (task.action_high[i] - task.action_low[i]);
      std[i] = std::isfinite(half) ? share * half : 1.0;
    }
    if (share_beyond_limits(task, std) <= kTooManyBeyond) return share;
  }
  return 0.1;
}

/// Of the derivatives along one trajectory, and of its backward pass.
Needs needs_of_pass(const Task& task, bool centred) {
  Needs needs;
  const double nx = as_double(task.system->ndx()), da = as_double(task.da()), T = task.horizon;
  needs.steps = T * ((centred ? 2.0 : 1.0) * (nx + da) + 3.0);
  needs.bytes = kNumber * T * (4.0 * (nx + da) * (nx + da) + as_double(task.nx()));
  needs.operations = T * 8.0 * (nx + da) * (nx + da) * (nx + da);
  return needs;
}

}  // namespace

double share_beyond_limits(const Task& task, const VectorXd& std) {
  double sum = 0.0;
  for (Index i = 0; i < task.da(); ++i) {
    const double half = 0.5 * (task.action_high[i] - task.action_low[i]);
    if (std::isfinite(half)) sum += std::erfc(half / (std[i] * std::numbers::sqrt2));
  }
  return sum / as_double(task.da());
}

void judge_exploration(const Task& task, const VectorXd& std, double epsilon, double beta0, Needs& needs) {
  const double beyond = share_beyond_limits(task, std);
  needs.notes.push_back(fmt::format("{:.0f} % of the first actions are beyond their limits", 100.0 * beyond));
  if (beyond > kTooManyBeyond)
    needs.proposals.push_back(fmt::format(
        "initial_std = \"{:.0f} %\": most of the exploration is cut off by the limits", 100.0 * fitting_share(task)));
  if (!(beta0 > 0.0)) return;
  const double steps = std::sqrt(2.0 * epsilon) * as_double(task.da()) / beta0;  // in standard deviations at the start
  Index shortest = -1;
  double least = std::numeric_limits<double>::infinity();
  for (Index i = 0; i < task.da(); ++i) {
    const double half = 0.5 * (task.action_high[i] - task.action_low[i]);
    if (std::isfinite(half) && steps * std[i] / half < least) shortest = i, least = steps * std[i] / half;
  }
  if (shortest < 0) return;
  needs.notes.push_back(
      fmt::format("the mean can travel {:.2g} of half the range of \"{}\" until exploration has shrunk", least,
                  task.action_names[static_cast<std::size_t>(shortest)]));
  if (least < 1.0)
    needs.proposals.push_back(
        fmt::format("beta0 = {:.2g}: exploration shrinks before the mean has crossed its range", beta0 * least));
}

Needs needs_of_rollouts(const Task& task, double rollouts) {
  Needs needs;
  needs.bytes = batch_bytes(task, rollouts);
  needs.steps = rollouts * task.horizon;
  return needs;
}

Needs needs(const Task& task, const MotoOptions& options, int threads) {
  Needs needs = needs_of_rollouts(task, options.rollouts);
  const Index n = task.ds() + task.da();
  const double features = as_double(feature_count(n)), T = task.horizon;
  const double own = options.rollouts, kept = own * options.window;
  const bool over_time = options.reuse == Reuse::time || options.reuse == Reuse::time_and_iterations;
  const bool over_iterations = options.reuse == Reuse::iterations || options.reuse == Reuse::time_and_iterations;
  // Samples of one regression: all that are stored, of which a few hundred to a few thousand weigh something.
  const double samples = (over_iterations ? kept : own) * (over_time ? T : 1.0);
  const double weighing = over_time ? std::min(samples, std::max(features, samples / 5.0)) : samples;
  // Moments of order four, each stored once while they are summed.
  const double moments = as_double(n + 1) * as_double(n + 2) * as_double(n + 3) * as_double(n + 4) / 24.0;
  const double places = std::min(static_cast<double>(ahead(threads)), T);
  needs.bytes = options.window * batch_bytes(task, own) +
                kNumber * places * (features * features + weighing * as_double(n + 1 + task.ds())) +
                kNumber * threads * (moments + features * features);
  needs.operations = T * (2.0 * weighing * moments + features * features * features / 3.0);
  needs.notes.push_back(fmt::format("{:.0f} features of {} states and {} actions; {:.0f} rollouts are kept", features,
                                    task.ds(), task.da(), over_iterations ? kept : own));
  if (features > (over_iterations ? kept : own) && !over_time)
    needs.proposals.push_back(fmt::format("rollouts = {:.0f}: a regression has more features than samples",
                                          std::ceil(features / (over_iterations ? options.window : 1))));
  else if (features > kept)
    needs.proposals.push_back(
        fmt::format("rollouts = {:.0f}: {:.0f} rollouts are few for {:.0f} features; gps needs fewer",
                    std::ceil(features / options.window), kept, features));
  judge_exploration(task, action_numbers(task, options.initial_std, "initial_std"), options.epsilon,
                    options.entropy_constraint ? options.beta0 : 0.0, needs);
  return needs;
}

Needs needs(const Task& task, const GpsOptions& options, int) {
  const int rollouts = rollouts_of(task, options);
  Needs needs = needs_of_rollouts(task, rollouts);
  const double n = as_double(task.ds() + task.da()), T = task.horizon;
  needs.bytes += kNumber * T * (4.0 * n * n);
  needs.operations = T * n * n * (rollouts + 60.0 * n);  // the dual takes tens of passes
  if (options.prior == GpsOptions::Prior::gmm) {         // expectation maximisation over the window's transitions
    const double samples = options.window * rollouts * T, joint = n + as_double(task.ds());
    const double components = components_for(static_cast<Index>(samples), task.da() + 2 * task.ds(), options.clusters);
    needs.bytes += options.window * batch_bytes(task, rollouts) + kNumber * samples * (3.0 * joint + 2.0 * components);
    needs.operations += MixtureOptions{}.iterations * samples * components * joint * joint;
  }
  const Index coefficients = task.ds() + task.da() + 1;
  needs.notes.push_back(
      fmt::format("{} coefficients for each observed number, fitted to {} rollouts", coefficients, rollouts));
  if (options.prior == GpsOptions::Prior::none && rollouts < coefficients + 2)
    needs.proposals.push_back(fmt::format(
        "rollouts = {}, or prior = \"gmm\": the fit of the dynamics has too few rollouts", coefficients + 2));
  judge_exploration(task, action_numbers(task, options.initial_std, "initial_std"), options.epsilon,
                    options.entropy_constraint ? options.beta0 : 0.0, needs);
  return needs;
}

Needs needs(const Task& task, const IlqrOptions& options, int) {
  Needs needs = needs_of_pass(task, options.differences.centred);
  needs.notes.push_back(
      fmt::format("{:.0f} simulations of a step for its derivatives, no noise", needs.steps / task.horizon));
  if (options.starts > 1)
    needs.notes.push_back(
        fmt::format("the first iterations, with {} trajectories; later ones have one", options.starts));
  needs.steps *= options.starts;
  needs.bytes *= options.starts;
  needs.operations *= options.starts;
  return needs;
}

Needs needs(const Task& task, const ReckonOptions& options, int) {
  const FixSize fix = fix_size(task, options);
  Needs needs = needs_of_rollouts(task, fix.all());
  const double kept = std::min(as_double(options.memory), needs.steps * std::max(1, options.iterations));
  const double weights = as_double(weight_count({task.ds() + task.da(), options.units, task.ds()}));
  const double imagined = as_double(task.horizon) * particles_of(task, options),
               batches = as_double(options.batches) * fix.all();
  needs.bytes +=
      kNumber * kept * as_double(2 * task.ds() + task.da()) + 2.0 * batch_bytes(task, particles_of(task, options));
  needs.operations =
      options.members * weights * (6.0 * batches * EnsembleFit{}.minibatch + 4.0 * options.steps * imagined);
  needs.notes.push_back(fmt::format("{} rollouts that explore and {} quiet ones, {} imagined ones for each step",
                                    fix.exploring, fix.quiet, particles_of(task, options)));
  judge_exploration(task, action_numbers(task, options.initial_std, "initial_std"), 0.0, 0.0, needs);
  return needs;
}

Needs needs(const Task& task, const TrpoOptions& options, int) {
  const bool by_steps = options.batch == TrpoOptions::BatchBy::steps;
  Needs needs = needs_of_rollouts(task, by_steps ? options.batch_steps / task.horizon : options.rollouts);
  if (by_steps) {
    needs.steps = options.batch_steps;
    if (const int left = options.batch_steps % task.horizon; left > 0) needs.bytes += rollout_bytes(task, left);
  }
  judge_exploration(task, action_numbers(task, options.initial_std, "initial_std"), 0.0, 0.0, needs);
  return needs;
}

Needs needs(const Task& task, const EpisodicOptions& options, int) {
  Needs needs = needs_of_rollouts(task, options.rollouts);
  const double P = as_double(family_size(task, options.controller, options.hidden, options.weights));
  const double samples = static_cast<double>(options.rollouts) * options.window;
  needs.bytes += kNumber * (P * P * (6.0 + 2.0 * options.window) + samples * (samples + P));
  needs.operations = 2.0 * P * P * P + samples * samples * samples;
  needs.notes.push_back(
      fmt::format("{:.0f} parameters of a controller; the samples of {:.0f} rollouts are kept", P, samples));
  return needs;
}

Needs needs(const Task& task, const RandomSearchOptions& options, int) {
  const double controllers = 2.0 * options.directions + 1.0;  // each direction both ways, and the one in the middle
  Needs needs = needs_of_rollouts(task, controllers * options.rollouts);
  needs.notes.push_back(fmt::format("{:.0f} controllers are tried, {} rollouts each", controllers, options.rollouts));
  return needs;
}

Needs needs(const Task& task, const GuidedOptions& options, int) {
  const Needs pass = needs_of_pass(task, true);  // of DDP
  Needs needs = needs_of_rollouts(task, options.rollouts);
  needs.bytes += pass.bytes;
  needs.steps += options.initial_iterations * pass.steps;
  const double hidden = options.hidden;
  const double weights = hidden * (as_double(task.ds() + 1 + task.da()) + (options.layers - 1) * hidden);
  needs.operations = options.initial_iterations * pass.operations +
                     6.0 * weights * options.first_evaluations * options.fit_samples * task.horizon;
  needs.notes.push_back(fmt::format("the first iteration, with {} passes of DDP at most; later ones have {}",
                                    options.initial_iterations, options.guide_iterations));
  return needs;
}

}  // namespace kedge
