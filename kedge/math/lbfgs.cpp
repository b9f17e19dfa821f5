#include "kedge/math/lbfgs.h"

#include <nlopt.h>

#include <cmath>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <optional>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void check(const VectorXd& start, const LbfgsOptions& o) {
  require(o.storage >= 1, "L-BFGS storage", o.storage, ">= 1");
  require(o.max_evaluations >= 1, "L-BFGS max_evaluations", o.max_evaluations, ">= 1");
  require(o.gradient_tolerance > 0.0 && o.gradient_tolerance < kInfinity, "L-BFGS gradient_tolerance",
          o.gradient_tolerance, "> 0 and finite");
  require(start.size() >= 1, "L-BFGS variables", start.size(), ">= 1");
  for (const auto& [name, bound] : {std::pair{"lower bounds", &o.lower}, std::pair{"upper bounds", &o.upper}})
    if (bound->size() != 0 && bound->size() != start.size())
      throw InputError(fmt::format("L-BFGS {}: {} entries, but the start has {}", name, bound->size(), start.size()));
  for (Index i = 0; i < start.size(); ++i) {
    const double low = o.lower.size() ? o.lower[i] : -kInfinity, high = o.upper.size() ? o.upper[i] : kInfinity;
    if (!std::isfinite(start[i]) || !(low <= start[i] && start[i] <= high))
      throw InputError(
          fmt::format("L-BFGS start[{}] = {}, but must be finite and in [{}, {}]", i, start[i], low, high));
  }
}

/// What NLopt calls: evaluates the function, remembers the best point, and knows when to end.
struct Search {
  const Objective& f;
  const LbfgsOptions& options;
  LbfgsResult best;
  std::optional<LbfgsStatus> end;
  std::exception_ptr thrown;
  double scale = 1.0;  // a power of two: scaling is exact
  VectorXd x, g;       // our own memory: sums over NLopt's would round by its address
  VectorXd best_g;     // gradient at best.x
  nlopt_opt nlopt = nullptr;

  /// Largest entry of g that a step within the box can follow.
  [[nodiscard]] double free_gradient() const {
    double top = 0.0;
    for (Index i = 0; i < x.size(); ++i) {
      const bool held = (g[i] > 0.0 && options.lower.size() && x[i] <= options.lower[i]) ||
                        (g[i] < 0.0 && options.upper.size() && x[i] >= options.upper[i]);
      if (!held) top = std::max(top, std::abs(g[i]));
    }
    return top;
  }

  void finish(LbfgsStatus status) {
    end = status;
    if (nlopt) nlopt_force_stop(nlopt);
  }

  double evaluate(const double* at, double* gradient) {
    const Index n = x.size();
    if (!end && options.stop.stop_requested()) finish(LbfgsStatus::cancelled);
    if (!end && best.evaluations >= options.max_evaluations) finish(LbfgsStatus::max_evaluations);
    if (end) {  // NLopt may ask a few times more
      std::fill(gradient, gradient + n, 0.0);
      return best.after * scale;
    }
    std::copy(at, at + n, x.data());
    if (x == best.x && best_g.size()) {  // where a run begins
      for (Index i = 0; i < n; ++i) gradient[i] = best_g[i] * scale;
      return best.after * scale;
    }
    double value = 0.0;
    try {
      value = f(x, g);
    } catch (...) {
      thrown = std::current_exception();
      finish(LbfgsStatus::not_finite);
      std::fill(gradient, gradient + n, 0.0);
      return best.after * scale;
    }
    const bool first = best.evaluations++ == 0;
    if (first) best.before = value;
    if (!std::isfinite(value) || !g.allFinite()) {
      finish(LbfgsStatus::not_finite);
      Index worst = 0;
      while (worst + 1 < n && std::isfinite(g[worst])) ++worst;
      best.message = std::isfinite(value) ? fmt::format("gradient[{}] = {} at evaluation {}, value {}", worst, g[worst],
                                                        best.evaluations, value)
                                          : fmt::format("value {} at evaluation {}", value, best.evaluations);
      std::fill(gradient, gradient + n, 0.0);
      return first ? 0.0 : best.after * scale;
    }
    const double slope = free_gradient();
    if (first || value < best.after || (value == best.after && slope < best.gradient)) {
      best.after = value;
      best.x = x;
      best.gradient = slope;
      best_g = g;
      if (slope <= options.gradient_tolerance) finish(LbfgsStatus::converged);
    }
    for (Index i = 0; i < n; ++i) gradient[i] = g[i] * scale;
    return value * scale;
  }
};

double call(unsigned, const double* x, double* gradient, void* search) {
  return static_cast<Search*>(search)->evaluate(x, gradient);
}

/// One run of NLopt from the best point. A failure of NLopt's is opaque (NLOPT_FAILURE): what counts is what the search saw.
void run_nlopt(Search& search) {
  const std::unique_ptr<nlopt_opt_s, decltype(&nlopt_destroy)> opt(
      nlopt_create(NLOPT_LD_LBFGS, static_cast<unsigned>(search.x.size())), &nlopt_destroy);
  if (!opt) throw std::bad_alloc();
  search.nlopt = opt.get();
  nlopt_set_min_objective(opt.get(), call, &search);
  nlopt_set_vector_storage(opt.get(), static_cast<unsigned>(search.options.storage));
  if (search.options.lower.size()) nlopt_set_lower_bounds(opt.get(), search.options.lower.data());
  if (search.options.upper.size()) nlopt_set_upper_bounds(opt.get(), search.options.upper.data());
  VectorXd x = search.best.x;
  double value = 0.0;
  const nlopt_result result = nlopt_optimize(opt.get(), x.data(), &value);
  search.nlopt = nullptr;
  if (search.thrown) std::rethrow_exception(search.thrown);
  if (result == NLOPT_OUT_OF_MEMORY) throw std::bad_alloc();
  if (result == NLOPT_INVALID_ARGS) throw std::logic_error("NLopt refuses arguments that were checked");
}

}  // namespace

const char* to_string(LbfgsStatus status) {
  switch (status) {
    case LbfgsStatus::converged: return "converged";
    case LbfgsStatus::max_evaluations: return "max_evaluations";
    case LbfgsStatus::stalled: return "stalled";
    case LbfgsStatus::cancelled: return "cancelled";
    case LbfgsStatus::not_finite: return "not_finite";
  }
  return "?";
}

LbfgsResult lbfgs(const Objective& f, VectorXd start, const LbfgsOptions& options) {
  check(start, options);
  const Index n = start.size();
  Search search{f, options, {}, {}, {}, 1.0, VectorXd::Zero(n), VectorXd::Zero(n), {}, nullptr};
  LbfgsResult& best = search.best;
  best.x = std::move(start);
  best.before = best.after = std::numeric_limits<double>::quiet_NaN();
  VectorXd gradient(n);
  search.evaluate(best.x.data(), gradient.data());  // tells the scale
  if (search.thrown) std::rethrow_exception(search.thrown);
  while (!search.end) {
    const double value = best.after;
    search.scale = std::exp2(-std::ceil(std::log2(best.gradient)));
    run_nlopt(search);
    if (!search.end && !(best.after < value)) search.end = LbfgsStatus::stalled;
  }
  best.status = *search.end;
  if (best.message.empty())
    best.message =
        fmt::format("value {:.9g} -> {:.9g}, largest gradient entry {:.3g} (tolerance {:.3g}), {} evaluations",
                    best.before, best.after, best.gradient, options.gradient_tolerance, best.evaluations);
  return std::move(best);
}

}  // namespace kedge
