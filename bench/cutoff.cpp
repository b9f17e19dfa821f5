// What leaving light samples out (weight_cutoff) changes in the fitted Q: during runs that use the task's own options, every
// few iterations Q is fitted at several cutoffs and compared with the fit to all samples (cutoff 0), in the norm of Q's
// deviation from its mean under rho_t pi_t, sqrt(|g|^2 + |H|_F^2 / 2) in whitened coordinates. The measure to hold that against
// is the noise of the fit itself: how far Q moves in a Bayesian bootstrap, every sample's weight times an independent draw of
// Exp(1). (The samples of one rollout hang together, so the real noise is larger.)
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kedge/algorithms/moto.h"
#include "kedge/core/errors.h"
#include "kedge/evaluation/quadratic_fit.h"
#include "kedge/math/statistics.h"
#include "kedge/run/option_text.h"
#include "kedge/tasks/task_file.h"

using namespace kedge;

namespace {

/// The fits of all steps at one cutoff, and how many samples a step they used. @param bootstrap scales the weights, if given
std::vector<QuadraticFit> fits(const Task& task, const Window& window, MotoOptions options, double cutoff, double& used,
                               Stream* bootstrap = nullptr) {
  SampleReuse reuse(options.reuse, options.window, cutoff);
  for (const Epoch& epoch : window) reuse.push(epoch, 1);
  const RegressionOptions regression{options.ridge, false};
  const auto T = static_cast<std::size_t>(task.horizon);
  std::vector<QuadraticFit> all(T);
  Regression memory;
  for (std::size_t t = T; t-- > 0;) {
    const bool last = t + 1 == T;
    WeightedSamples samples = reuse.samples(static_cast<int>(t));
    if (bootstrap) {
      for (double& w : samples.weight) w *= -std::log1p(-bootstrap->uniform());
      samples.weight /= samples.weight.sum();
    }
    used += static_cast<double>(samples.weight.size()) / task.horizon;
    const RegressionProblem problem{task,    static_cast<int>(t), reuse.data(),
                                    samples, reuse.density()[t],  last ? nullptr : &reuse.density()[t + 1]};
    if (!prepare_regression(problem, regression, memory)) throw InputError(fmt::format("step {}: no fit", t));
    all[t] = fit_step(memory, task.ds(), regression, last ? nullptr : &all[t + 1].v, {}).value();
  }
  return all;
}

double norm(const VectorXd& g, const MatrixXd& H) { return std::sqrt(g.squaredNorm() + 0.5 * H.squaredNorm()); }

void report(const std::string& name, const Task& task, const MotoOptions& options, const std::vector<int>& iterations,
            int seeds) {
  const std::vector<double> cutoffs = {1e-4, 1e-3, 1e-2};
  std::vector<std::vector<double>> change(cutoffs.size());
  std::vector<double> used(cutoffs.size() + 1, 0.0), noise;
  int count = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    MotoOptions part = options;
    MotoState state = moto_start(task, options);
    for (const int iteration : iterations) {
      part.iterations = iteration;
      state = moto(task, std::move(state), part, Run{static_cast<std::uint64_t>(seed), 2, {}}).state;
      ++count;
      const auto all = fits(task, state.window, options, 0.0, used.back());
      const auto compare = [&](const std::vector<QuadraticFit>& other, std::vector<double>& changes) {
        for (std::size_t t = 0; t < all.size(); ++t)
          changes.push_back(norm(other[t].q.g - all[t].q.g, other[t].q.H - all[t].q.H) / norm(all[t].q.g, all[t].q.H));
      };
      for (std::size_t c = 0; c < cutoffs.size(); ++c)
        compare(fits(task, state.window, options, cutoffs[c], used[c]), change[c]);
      Stream bootstrap(static_cast<std::uint64_t>(seed), static_cast<std::uint32_t>(iteration), 0, 0);
      double ignored = 0.0;
      compare(fits(task, state.window, options, 0.0, ignored, &bootstrap), noise);
    }
  }
  fmt::print("{}: {} seeds, after {} iterations; {:.0f} samples a step without a cutoff\n", name, seeds,
             fmt::join(iterations, ", "), used.back() / count);
  const auto print = [](const std::string& what, const std::vector<double>& changes) {
    fmt::print("  {}; relative change of Q: median {:.1e}, 95 % of steps below {:.1e}, largest {:.1e}\n", what,
               median(changes), quantile(changes, 0.95), maximum(changes));
  };
  for (std::size_t c = 0; c < cutoffs.size(); ++c)
    print(fmt::format("cutoff {:g}: {:.0f} samples a step", cutoffs[c], used[c] / count), change[c]);
  print("bootstrap", noise);
}

MotoOptions tuned(const std::string& task) {
  Options options = named_options(MotoOptions{});
  read_options(options, KEDGE_SOURCE_DIR "/tasks/" + task + "/moto.toml");
  return options_as<MotoOptions>(options);
}

}  // namespace

int main() {
  const auto task = [](const std::string& name) {
    return load_task(KEDGE_SOURCE_DIR "/tasks/" + name + "/task.toml").task;
  };
  report("double link", task("double_link"), tuned("double_link"), {5, 10, 20, 40, 80, 120}, 5);
  MotoOptions reuse = tuned("quad_link");  // docs/algorithms/moto.md: M = 100 with reuse
  reuse.rollouts = 100;
  reuse.reuse = Reuse::time_and_iterations;
  reuse.window = 3;
  report("quad link, M = 100, reuse", task("quad_link"), reuse, {5, 10, 20, 40}, 3);
}
