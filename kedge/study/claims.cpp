#include "kedge/study/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace kedge {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double kTwoSided95 = 1.959963984540054;  ///< quantile 0.975 of the normal distribution

bool is_of_success(const Claim& claim) {
  return claim.kind == Claim::Kind::succeeds || claim.kind == Claim::Kind::fails;
}

std::vector<double> values_of(const Comparison& comparison, const std::string& label, const Measure& measure) {
  for (const ComparisonGroup& group : comparison.groups)
    if (group.label == label) return measure_values(group, measure);
  return {};
}

Estimate interquartile_estimate(const std::vector<double>& values) { return estimate(values, interquartile_mean); }

/// The rollouts at the first of several iterations in a row that reach `threshold`; infinity where there are none. A single
/// iteration can reach it by luck: where every rollout has another ball, or another start.
double rollouts_until_it_stays(const ComparedRun& run, double threshold) {
  constexpr int in_a_row = 5;
  const auto at =
      std::search_n(run.median_returns.begin(), run.median_returns.end(), in_a_row, threshold, std::greater_equal{});
  if (at == run.median_returns.end()) return infinity;
  return run.rollouts[static_cast<std::size_t>(at - run.median_returns.begin())];
}

Verdict verdict(std::size_t seeds, bool yes, bool no) {
  if (seeds < fewest_seeds) return Verdict::too_few_seeds;
  return yes ? Verdict::holds : no ? Verdict::does_not_hold : Verdict::undecided;
}

/// Is the share of seeds that succeed above, or below, what the claim says?
void judge_success(JudgedClaim& judged, const std::vector<double>& rates) {
  const double share = judged.claim.share;
  const auto solved = static_cast<std::size_t>(std::ranges::count_if(rates, [](double rate) { return rate >= 1.0; }));
  const double of_all = static_cast<double>(solved) / static_cast<double>(rates.size());
  const auto [low, high] = judged.interval = wilson_interval(of_all, rates.size());
  judged.run_value = {of_all, judged.interval};
  const bool many = judged.claim.kind == Claim::Kind::succeeds;
  judged.verdict = verdict(rates.size(), many ? low >= share : high <= share, many ? high < share : low > share);
}

/// Does a seed of `a` beat one of `b` more often than not, or neither the other?
void judge_comparison(JudgedClaim& judged, const std::vector<double>& a, const std::vector<double>& b) {
  judged.run_value = interquartile_estimate(a);
  judged.than_value = interquartile_estimate(b);
  const Estimate p = probability_of_improvement(a, b);
  judged.probability = p.value;
  judged.interval = p.interval;
  const auto [low, high] = p.interval;
  const bool better = judged.claim.kind == Claim::Kind::better;
  judged.verdict = verdict(std::min(a.size(), b.size()), better ? low > 0.5 : low >= 0.25 && high <= 0.75,
                           better ? high < 0.5 : low > 0.75 || high < 0.25);
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::holds: return "holds";
    case Verdict::does_not_hold: return "does not hold";
    case Verdict::undecided: return "undecided";
    case Verdict::too_few_seeds: return "too few seeds";
    case Verdict::no_runs: return "no runs";
  }
  return "";
}

JudgedClaim judge(const Claim& claim, const std::vector<double>& run, const std::vector<double>& than) {
  JudgedClaim judged;
  judged.claim = claim;
  judged.run_values = run;
  if (!is_of_success(claim)) judged.than_values = than;
  if (run.empty() || (than.empty() && !is_of_success(claim)))
    judged.verdict = Verdict::no_runs;
  else if (is_of_success(claim))
    judge_success(judged, run);
  else
    judge_comparison(judged, run, than);
  return judged;
}

JudgedClaim judge(const Claim& claim, const Comparison& comparison) {
  return judge(claim, values_of(comparison, claim.run, claim.measure),
               values_of(comparison, claim.than, claim.measure));
}

std::string estimate_text(const Estimate& e) {
  return fmt::format("{:.4g} [{:.4g}, {:.4g}]", e.value, e.interval.low, e.interval.high);
}

std::string reason(const JudgedClaim& j) {
  if (is_of_success(j.claim))
    return fmt::format(
        "{:.0f} of {} seeds succeed in every rollout with{} noise, {:.2f} [{:.2f}, {:.2f}]; claimed {} {}",
        std::round(j.run_value.value * static_cast<double>(j.run_values.size())), j.run_values.size(),
        j.claim.measure.kind == Measure::Kind::noisy_success ? "" : "out", j.run_value.value, j.interval.low,
        j.interval.high, j.claim.kind == Claim::Kind::succeeds ? ">=" : "<=", j.claim.share);
  return fmt::format("{}: {} against {}; P(better) {:.2f} [{:.2f}, {:.2f}]; {} and {} seeds",
                     to_string(j.claim.measure), estimate_text(j.run_value), estimate_text(j.than_value), j.probability,
                     j.interval.low, j.interval.high, j.run_values.size(), j.than_values.size());
}

std::vector<double> measure_values(const ComparisonGroup& group, const Measure& measure) {
  std::vector<double> values;
  for (const ComparedRun& run : group.runs) {
    double value = -infinity;
    switch (measure.kind) {
      case Measure::Kind::final_return: value = run.final_return.value_or(-infinity); break;
      case Measure::Kind::final_success: value = run.final_success.value_or(0.0); break;
      case Measure::Kind::return_at:
        // The run must have got there: one that ended early has no return at this point.
        for (std::size_t i = 0; i < run.rollouts.size(); ++i)
          if (run.rollouts[i] <= measure.argument && run.rollouts.back() >= measure.argument)
            value = run.median_returns[i];
        break;
      case Measure::Kind::rollouts_to: value = -rollouts_until_it_stays(run, measure.argument); break;
      case Measure::Kind::noisy_return:
        if (!run.median_returns.empty()) value = run.median_returns.back();
        break;
      case Measure::Kind::noisy_success: value = run.noisy_success.value_or(0.0); break;
    }
    values.push_back(value);
  }
  return values;
}

Estimate probability_of_improvement(const std::vector<double>& a, const std::vector<double>& b) {
  const std::size_t n = a.size();
  const Statistic statistic = [n](std::span<const double> all) {
    double wins = 0.0;
    for (const double x : all.first(n))
      for (const double y : all.subspan(n)) wins += x > y ? 1.0 : x == y ? 0.5 : 0.0;
    return wins / static_cast<double>(n * (all.size() - n));
  };
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  const Estimate bootstrap{statistic(all), bootstrap_interval({a, b}, statistic)};
  if (bootstrap.interval.low < bootstrap.interval.high) return bootstrap;
  return {bootstrap.value, newcombe_interval(bootstrap.value, a.size(), b.size())};
}

Interval newcombe_interval(double p, std::size_t m, std::size_t n) {
  const double pairs = static_cast<double>(m) * static_cast<double>(n);
  const double others = static_cast<double>(m + n) / 2.0 - 1.0;
  const auto too_far = [&](double theta) {
    const double spread = 1.0 + others * ((1.0 - theta) / (2.0 - theta) + theta / (1.0 + theta));
    return (p - theta) * (p - theta) > kTwoSided95 * kTwoSided95 * theta * (1.0 - theta) / pairs * spread;
  };
  // Between p, which is not too far from itself, and an end of [0, 1], which is, or which p is.
  const auto border = [&](double end) {
    double near = std::clamp(p, 1e-9, 1.0 - 1e-9), far = end;
    for (int i = 0; i < 100; ++i) (too_far(0.5 * (near + far)) ? far : near) = 0.5 * (near + far);
    return near;
  };
  return {p == 0.0 ? 0.0 : border(0.0), p == 1.0 ? 1.0 : border(1.0)};
}

}  // namespace kedge
