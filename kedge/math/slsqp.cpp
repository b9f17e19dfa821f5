#include "kedge/math/slsqp.h"

#include <fmt/format.h>
#include <nlopt.h>

#include <cmath>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "kedge/core/errors.h"

namespace kedge {

namespace {

/// What NLopt calls. Our own memory: sums over NLopt's would round by its address.
struct Search {
  const EqualityProblem& problem;
  VectorXd x, gradient, h;
  MatrixXd gradients;
  int evaluations = 0;
  std::exception_ptr thrown;
  nlopt_opt nlopt = nullptr;

  /// Calls `compute` at a point; an exception ends the search.
  template <class F>
  void at(const double* point, const F& compute) {
    if (thrown) return;
    try {
      std::copy(point, point + x.size(), x.data());
      compute();
    } catch (...) {
      thrown = std::current_exception();
      nlopt_force_stop(nlopt);
    }
  }
};

double objective(unsigned, const double* x, double* gradient, void* data) {
  Search& s = *static_cast<Search*>(data);
  double value = 0.0;
  s.at(x, [&] {
    ++s.evaluations;
    value = s.problem.f(s.x, s.gradient);
  });
  if (gradient) std::copy(s.gradient.begin(), s.gradient.end(), gradient);
  return value;
}

void equations(unsigned, double* result, unsigned, const double* x, double* gradients, void* data) {
  Search& s = *static_cast<Search*>(data);
  s.at(x, [&] { s.problem.h(s.x, s.h, s.gradients); });
  std::copy(s.h.begin(), s.h.end(), result);
  if (gradients) std::copy(s.gradients.data(), s.gradients.data() + s.gradients.size(), gradients);
}

void check(const EqualityProblem& problem, const VectorXd& start, const SlsqpOptions& options) {
  require(options.tolerance > 0.0, "SLSQP tolerance", options.tolerance, "> 0");
  require(options.slope > 0.0, "SLSQP slope", options.slope, "> 0");
  require(options.max_evaluations >= 1, "SLSQP max_evaluations", options.max_evaluations, ">= 1");
  require(problem.equations >= 1, "SLSQP equations", problem.equations, ">= 1");
  const bool sizes = start.size() >= 1 && problem.lower.size() == start.size() && problem.upper.size() == start.size();
  if (!sizes)
    throw InputError(fmt::format("SLSQP: the start has {} entries, the bounds {} and {}", start.size(),
                                 problem.lower.size(), problem.upper.size()));
  for (Index i = 0; i < start.size(); ++i)
    if (!std::isfinite(start[i]) || !(problem.lower[i] <= start[i] && start[i] <= problem.upper[i]))
      throw InputError(fmt::format("SLSQP start[{}] = {}, but must be finite and in [{}, {}]", i, start[i],
                                   problem.lower[i], problem.upper[i]));
}

/// The entries of x that are inside the box.
std::vector<Index> free_entries(const EqualityProblem& problem, const VectorXd& x) {
  std::vector<Index> free;
  for (Index i = 0; i < x.size(); ++i)
    if (x[i] > problem.lower[i] && x[i] < problem.upper[i]) free.push_back(i);
  return free;
}

/// Newton's method on the equations, by the least change of the entries inside the box: SLSQP leaves them at 1e-8.
VectorXd onto_equations(Search& s, VectorXd x) {
  for (int i = 0; i < 5; ++i) {
    const std::vector<Index> free = free_entries(s.problem, x);
    s.problem.h(x, s.h, s.gradients);
    if (!s.h.allFinite() || s.h.isZero(0.0) || free.empty()) break;
    const MatrixXd J = s.gradients(free, Eigen::all).transpose();
    x(free) -= J.completeOrthogonalDecomposition().solve(s.h);
    x = x.cwiseMax(s.problem.lower).cwiseMin(s.problem.upper);
  }
  return x;
}

/// Runs NLopt from a point. @return where it ended
VectorXd run_nlopt(Search& search, const VectorXd& from, int evaluations) {
  const auto n = static_cast<unsigned>(from.size());
  const std::unique_ptr<nlopt_opt_s, decltype(&nlopt_destroy)> opt(nlopt_create(NLOPT_LD_SLSQP, n), &nlopt_destroy);
  if (!opt) throw std::bad_alloc();
  search.nlopt = opt.get();
  const VectorXd exact = VectorXd::Zero(search.h.size());
  nlopt_set_min_objective(opt.get(), objective, &search);
  nlopt_add_equality_mconstraint(opt.get(), static_cast<unsigned>(exact.size()), equations, &search, exact.data());
  nlopt_set_lower_bounds(opt.get(), search.problem.lower.data());
  nlopt_set_upper_bounds(opt.get(), search.problem.upper.data());
  nlopt_set_ftol_rel(opt.get(), 1e-14);
  nlopt_set_maxeval(opt.get(), evaluations);
  VectorXd x = from;
  double value = 0.0;
  const nlopt_result ended = nlopt_optimize(opt.get(), x.data(), &value);
  search.nlopt = nullptr;
  if (search.thrown) std::rethrow_exception(search.thrown);
  if (ended == NLOPT_OUT_OF_MEMORY) throw std::bad_alloc();
  if (ended == NLOPT_INVALID_ARGS) throw std::logic_error("NLopt refuses arguments that were checked");
  // What NLopt returns is the best point at which the equations hold exactly, if need be the start; where it went is `x`.
  return onto_equations(search, search.x.cwiseMax(search.problem.lower).cwiseMin(search.problem.upper));
}

/// Judges a point: df + J lambda of the entries that no bound holds, lambda by least squares.
void judge(Search& s, const VectorXd& x, SlsqpResult& result) {
  result.x = s.x = x;
  result.value = s.problem.f(x, s.gradient);
  s.problem.h(x, s.h, s.gradients);
  result.violation = s.h.allFinite() ? s.h.lpNorm<Eigen::Infinity>() : HUGE_VAL;
  VectorXd slope = s.gradient;
  std::vector<Index> free;
  // First all entries inside the box; then those, too, that could leave their bound.
  for (int pass = 0; pass < 2; ++pass) {
    const VectorXd before = slope;
    free.clear();
    for (Index i = 0; i < x.size(); ++i) {
      const bool low = x[i] <= s.problem.lower[i], high = x[i] >= s.problem.upper[i];
      const bool leaves = pass == 1 && ((low && before[i] < 0.0) || (high && before[i] > 0.0));
      if ((!low && !high) || leaves) free.push_back(i);
    }
    const MatrixXd J = s.gradients(free, Eigen::all);
    const VectorXd lambda = J.completeOrthogonalDecomposition().solve(-s.gradient(free));
    slope = s.gradient + s.gradients * lambda;
  }
  result.slope = free.empty() ? 0.0 : slope(free).lpNorm<Eigen::Infinity>();
}

}  // namespace

SlsqpResult slsqp(const EqualityProblem& problem, VectorXd start, const SlsqpOptions& options) {
  check(problem, start, options);
  const Index n = start.size(), m = problem.equations;
  Search search{problem, start, VectorXd::Zero(n), VectorXd::Zero(m), MatrixXd::Zero(n, m), 0, {}, nullptr};
  SlsqpResult result;
  judge(search, start, result);
  while (search.evaluations < options.max_evaluations) {
    const double violation = result.violation, slope = result.slope;
    judge(search, run_nlopt(search, result.x, options.max_evaluations - search.evaluations), result);
    result.found =
        std::isfinite(result.value) && result.violation <= options.tolerance && result.slope <= options.slope;
    if (result.found || !(result.violation < violation || result.slope < slope)) break;
  }
  result.evaluations = search.evaluations;
  result.message =
      fmt::format("value {:.9g}, largest |equation| {:.3g} (tolerance {:.3g}), slope {:.3g} ({:.3g}), {} evaluations",
                  result.value, result.violation, options.tolerance, result.slope, options.slope, result.evaluations);
  return result;
}

}  // namespace kedge
