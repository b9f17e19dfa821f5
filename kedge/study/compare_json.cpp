#include <algorithm>
#include <nlohmann/json.hpp>

#include "kedge/run/option_json.h"
#include "kedge/study/compare.h"

namespace kedge {

namespace {

/// [one number of each item]
template <class Item, class Get>
Json column_json(const std::vector<Item>& items, const Get& get) {
  Json column = Json::array();
  for (const Item& item : items) column.push_back(json_number(static_cast<double>(std::invoke(get, item))));
  return column;
}

Json optional_json(const std::optional<double>& value) { return value ? json_number(*value) : Json(); }

/// {"value": , "low": , "high": }, or null without values
Json statistic_json(const std::vector<double>& values, const Statistic& statistic) {
  if (values.empty()) return nullptr;
  const Estimate e = estimate(values, statistic);
  return {
      {"value", json_number(e.value)}, {"low", json_number(e.interval.low)}, {"high", json_number(e.interval.high)}};
}

/// The mean success of the runs, each a trial.
Json success_json(const std::vector<double>& rates) {
  if (rates.empty()) return nullptr;
  const double share = mean(rates);
  const Interval interval = wilson_interval(share, rates.size());
  return {{"value", json_number(share)}, {"low", json_number(interval.low)}, {"high", json_number(interval.high)}};
}

Json curve_json(const std::vector<CurvePoint>& curve) {
  Json json;
  json["iteration"] = column_json(curve, &CurvePoint::iteration);
  json["rollouts"] = column_json(curve, &CurvePoint::rollouts);
  json["seconds"] = column_json(curve, &CurvePoint::seconds);
  const auto add_estimate = [&](const std::string& name, Estimate CurvePoint::*field) {
    json[name] = column_json(curve, [field](const CurvePoint& p) { return (p.*field).value; });
    json[name + "_low"] = column_json(curve, [field](const CurvePoint& p) { return (p.*field).interval.low; });
    json[name + "_high"] = column_json(curve, [field](const CurvePoint& p) { return (p.*field).interval.high; });
  };
  add_estimate("median", &CurvePoint::median);
  add_estimate("iqm", &CurvePoint::iqm);
  add_estimate("mean", &CurvePoint::mean);
  json["quartile_low"] = column_json(curve, &CurvePoint::lower_quartile);
  json["quartile_high"] = column_json(curve, &CurvePoint::upper_quartile);
  return json;
}

Json profile_json(const std::vector<ProfilePoint>& profile) {
  return {{"tau", column_json(profile, &ProfilePoint::tau)},
          {"share", column_json(profile, [](const ProfilePoint& p) { return p.share.value; })},
          {"low", column_json(profile, [](const ProfilePoint& p) { return p.share.interval.low; })},
          {"high", column_json(profile, [](const ProfilePoint& p) { return p.share.interval.high; })}};
}

Json run_json(const ComparedRun& run) {
  return {{"directory", run.directory.string()},
          {"seed", std::to_string(run.seed)},
          {"state", to_string(run.state)},
          {"iterations", run.iterations},
          {"final_return", optional_json(run.final_return)},
          {"final_success", optional_json(run.final_success)},
          {"rollouts", column_json(run.rollouts, std::identity())},
          {"median_returns", column_json(run.median_returns, std::identity())}};
}

Json group_json(const ComparisonGroup& group, const std::vector<double>& thresholds) {
  std::vector<double> returns, success;
  for (const ComparedRun& run : group.runs) {
    if (run.final_return) returns.push_back(*run.final_return);
    if (run.final_success) success.push_back(*run.final_success);
  }
  Json runs = Json::array();
  for (const ComparedRun& run : group.runs) runs.push_back(run_json(run));
  const Json final = {{"runs", returns.size()},
                      {"median", statistic_json(returns, [](auto v) { return median(v); })},
                      {"iqm", statistic_json(returns, interquartile_mean)},
                      {"success", success_json(success)},
                      {"solved", std::ranges::count_if(success, [](double rate) { return rate >= 1.0; })}};
  return {{"label", group.label},
          {"algorithm", group.algorithm},
          {"options", options_json(group.options)},
          {"reference", optional_json(group.reference)},
          {"curve", curve_json(group.curve)},
          {"final", final},
          {"profile", profile_json(performance_profile(group, thresholds))},
          {"runs", runs}};
}

}  // namespace

std::string comparison_json(const Comparison& comparison) {
  const std::vector<double> thresholds = final_returns(comparison);
  Json groups = Json::array();
  for (const ComparisonGroup& group : comparison.groups) groups.push_back(group_json(group, thresholds));
  return json_text({{"task", comparison.task}, {"notes", comparison.notes}, {"groups", groups}}) + "\n";
}

}  // namespace kedge
