#include "kedge/algorithms/more.h"

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/report.h"
#include "kedge/core/errors.h"
#include "kedge/evaluation/return_model.h"
#include "kedge/math/gaussian.h"
#include "kedge/update/gaussian_step.h"

namespace kedge {

namespace {

/// Share of their variance that keeps features regular that depend on each other.
constexpr double kContextRidge = 1e-9;

/// The distribution of the features phi, in which the quadratic model is whitened; without context, of none.
std::optional<Gaussian> context_distribution(const Moments& moments) {
  if (moments.mean.size() == 0) return Gaussian{VectorXd(0), MatrixXd(0, 0), MatrixXd(0, 0)};
  MatrixXd cov = moments.cov;
  cov.diagonal() *= 1.0 + kContextRidge;
  return make_gaussian(moments.mean, cov);
}

/// The samples in whitened coordinates [xi; alpha] of features and parameters. @return [F + P, N]
MatrixXd whitened_samples(const PooledSamples& samples, const LinearGaussian& search, const Gaussian& context) {
  const Index F = context.dim(), P = search.k.size();
  MatrixXd z(F + P, samples.returns.size());
  if (F > 0) z.topRows(F) = context.L.triangularView<Eigen::Lower>().solve(samples.phi.colwise() - context.mean);
  z.bottomRows(P) = whitened(search, samples.theta, samples.phi);
  return z;
}

/// The part of the model that depends on the parameters.
WhitenedQuadratic parameter_part(const Quadratic& q, Index F) {
  const Index P = q.g.size() - F;
  return {q.H.bottomRightCorner(P, P), q.H.bottomLeftCorner(P, F), q.g.tail(P)};
}

/// By how much the entropy may fall in this iteration, nats.
double entropy_drop(const MoreState& state, const MoreOptions& options) {
  const auto P = static_cast<double>(state.search.k.size());
  const double left = entropy(state.search.C) - (state.first_entropy + P * std::log(options.least_std));
  const double step = options.schedule == MoreOptions::Schedule::linear ? options.beta0 : (1.0 - options.gamma) * left;
  return std::max(0.0, std::min(step, left));
}

ReturnModelOptions model_options(const MoreOptions& options) {
  return {options.ridge, options.surrogate == MoreOptions::Surrogate::projections ? options.projections : 0,
          options.projected};
}

}  // namespace

MoreState more_start(const Task& task, const MoreOptions& options) {
  options.validate();
  MoreState state{first_search(search_problem(task, options), options)};
  state.first_entropy = entropy(state.search.C);
  return state;
}

MoreResult more(const Task& task, MoreState state, const MoreOptions& options, const Run& run,
                const MoreObserver& observe) {
  options.validate();
  const SearchProblem problem = search_problem(task, options);
  require_search(problem, state);

  Loop<MoreState> loop(std::move(state), options.iterations, run, observe);
  while (loop.next()) {
    MoreState next = loop.state();

    // Rollouts, each with parameters theta ~ N(K phi + k, Sigma) of its own
    auto batch = search_rollouts(problem, options, loop.iteration(), run, next);
    if (!batch) return loop.end(batch.ending());
    loop.lap("rollouts");

    // Weigh the samples of the last iterations by their densities now
    const auto samples = pooled(next.pool);
    if (!samples) return loop.end(failure("the samples of the last iterations have no weight that is finite"));
    loop.lap("importance_weights");

    // Fit a quadratic model of the return
    const auto context = context_distribution(samples->context);
    if (!context) return loop.end(failure("the features of the initial states do not vary"));
    const auto model =
        fit_return_model(whitened_samples(*samples, next.search, *context), samples->returns, samples->weight,
                         model_options(options), run.seed, loop.iteration(), run.threads);
    if (!model) return loop.end(failure("a coefficient of the model of the return is not finite"));
    loop.lap("regression");

    // Maximise it within the bounds on KL and entropy
    const GaussianStep step = gaussian_step(next.search, parameter_part(model->q, context->dim()), *context,
                                            {options.epsilon, entropy_drop(next, options)});
    if (step.status != StepStatus::ok)
      return loop.end(failure(fmt::format("{} ({})", step.message, to_string(step.status))));
    next.search = step.next;
    auto policy = mean_policy(problem, next.search);
    if (!policy) return loop.end(failure("the controller of the mean parameters is not finite"));
    next.policy = std::move(*policy);
    loop.lap("update");

    count(*batch, 0, next);
    Iteration report = search_report(problem, *batch, *samples, loop.iteration(), options, next);
    add(report, {{"kl_search", step.kl},
                 {"eta", step.eta},
                 {"omega", step.omega},
                 {"r2", model->r2},
                 {"improvement_predicted", step.gain}});
    loop.commit(std::move(next), std::move(report));
  }
  return loop.done();
}

}  // namespace kedge
