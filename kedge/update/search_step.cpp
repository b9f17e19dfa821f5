#include "kedge/update/search_step.h"

#include <cmath>

#include "kedge/core/errors.h"
#include "kedge/math/gaussian.h"
#include "kedge/update/gaussian_step.h"

namespace kedge {

namespace {

/// Ridge of the regression on the features, in shares of their variance.
constexpr double kRidge = 1e-6;
/// Share of the variance that the fit leaves to the residuals below which they say nothing.
constexpr double kLeastRest = 1e-6;

/// The distribution a part of the way; C is NaN where the covariance is not positive definite.
LinearGaussian part_of_the_way(const LinearGaussian& old, const LinearGaussian& fitted, const Moments& context,
                               double alpha) {
  const MatrixXd dK = fitted.K - old.K;
  VectorXd d = fitted.k - old.k;
  LinearGaussian next{old.K + alpha * dK, old.k + alpha * d, {}, {}};
  MatrixXd apart = MatrixXd::Zero(d.size(), d.size());
  if (dK.cols() > 0) {
    d += dK * context.mean;
    apart = dK * context.cov * dK.transpose();
  }
  apart += d * d.transpose();
  next.Sigma = (1.0 - alpha) * old.Sigma + alpha * fitted.Sigma + alpha * (1.0 - alpha) * apart;
  next.Sigma = (0.5 * (next.Sigma + next.Sigma.transpose())).eval();
  const Eigen::LLT<MatrixXd> llt(next.Sigma);
  next.C = llt.matrixL();
  if (llt.info() != Eigen::Success) next.C.setConstant(std::numeric_limits<double>::quiet_NaN());
  return next;
}

}  // namespace

LinearGaussian fit_search(const LinearGaussian& old, MatrixIn theta, MatrixIn phi, VectorIn weight) {
  const Index F = phi.rows();
  LinearGaussian fitted = old;
  MatrixXd e = theta.colwise() - old.k;
  VectorXd leverage = VectorXd::Ones(weight.size());  // h_n = 1 + P_n' G^-1 P_n
  if (F > 0) {                                        // residuals of the old mean, regressed on the features
    e -= old.K * phi;
    const VectorXd phi_mean = phi * weight;
    const MatrixXd P = phi.colwise() - phi_mean;
    const MatrixXd weighted = P * weight.asDiagonal();
    MatrixXd G = weighted * P.transpose();
    G.diagonal() *= 1.0 + kRidge;
    const Eigen::CompleteOrthogonalDecomposition<MatrixXd> solver(G);
    const MatrixXd dK = solver.solve(weighted * e.transpose()).transpose();
    leverage += P.cwiseProduct(solver.solve(P)).colwise().sum().transpose();
    fitted.K += dK;
    fitted.k -= dK * phi_mean;
    e -= dK * P;
  }
  const VectorXd shift = e * weight;
  fitted.k += shift;
  e.colwise() -= shift;
  const double rest = 1.0 - weight.cwiseAbs2().dot(leverage);
  if (rest > kLeastRest) fitted.Sigma = e * weight.asDiagonal() * e.transpose() / rest;
  return fitted;
}

const char* to_string(SearchStatus status) {
  switch (status) {
    case SearchStatus::ok: return "ok";
    case SearchStatus::not_finite: return "not finite";
    case SearchStatus::imprecise: return "imprecise";
  }
  return "?";
}

SearchStep search_step(const LinearGaussian& old, const LinearGaussian& fitted, const Moments& context,
                       double epsilon) {
  require(epsilon > 0.0, "epsilon", epsilon, "> 0 (nats)");
  SearchStep step;
  step.next = old;
  step.entropy = entropy(old.C);
  if (!fitted.K.allFinite() || !fitted.k.allFinite() || !fitted.Sigma.allFinite()) {
    step.status = SearchStatus::not_finite;
    step.message = "the distribution that was fitted to the samples has a number that is not finite";
    return step;
  }
  const auto try_length = [&](double alpha) {
    SearchStep tried;
    tried.next = part_of_the_way(old, fitted, context, alpha);
    tried.length = alpha;
    tried.kl = expected_kl(tried.next, old, context);
    tried.entropy = entropy(tried.next.C);
    return tried;
  };
  SearchStep tried = try_length(1.0);
  if (tried.kl <= epsilon) return tried;
  // sqrt(KL) is nearly linear in alpha: the secant of the bracket, with Illinois' halving.
  const double root = std::sqrt(epsilon), aim = root * (1.0 - 2.5e-10);  // a little below the bound
  const auto off = [&](double kl) { return std::isfinite(kl) ? std::sqrt(kl) - aim : root; };
  double low = 0.0, high = 1.0, below = -aim, above = off(tried.kl);
  int side = 0;
  for (int i = 0; i < 400 && high > low * (1.0 + 4e-16); ++i) {
    double alpha = low - (high - low) * below / (above - below);
    if (i % 8 == 7 || !(alpha > low && alpha < high)) alpha = 0.5 * (low + high);
    tried = try_length(alpha);
    if (tried.kl <= epsilon && tried.kl >= epsilon * (1.0 - kBoundTolerance)) return tried;
    if (tried.kl <= epsilon) {
      low = alpha;
      below = off(tried.kl);
      if (side == -1) above *= 0.5;
      side = -1;
      step = tried;
    } else {
      high = alpha;
      above = off(tried.kl);
      if (side == 1) below *= 0.5;
      side = 1;
    }
  }
  if (step.length > 0.0) return step;  // neighbouring numbers are on both sides of the bound
  step.status = SearchStatus::imprecise;
  step.message = fmt::format("KL {:.17g} for epsilon = {:.17g} at a length of {:.3g}", tried.kl, epsilon, tried.length);
  return step;
}

}  // namespace kedge
