// The task's measure of success, read off a rollout while it runs.
#pragma once

#include <algorithm>
#include <limits>

#include "kedge/system/task.h"

namespace kedge {

class SuccessMeter {
 public:
  explicit SuccessMeter(const Task& task) : spec_(task.success.empty() ? nullptr : &task.success[0]) {
    if (spec_) r_.resize(spec_->residual.target.size());
  }
  /// One step; its arguments as those of `residual`.
  void add(int t, VectorIn x, VectorIn a, VectorIn u, VectorIn y) {
    if (!spec_ || !spec_->active[static_cast<std::size_t>(t)]) return;
    residual(spec_->residual, x, a, u, y, r_);
    sum_ += r_.lpNorm<1>();
    largest_ = std::max(largest_, r_.lpNorm<Eigen::Infinity>());
    count_ += r_.size();
  }
  /// NaN if nothing was measured.
  [[nodiscard]] double value() const {
    if (count_ == 0) return std::numeric_limits<double>::quiet_NaN();
    return spec_->statistic == Success::Statistic::max_abs ? largest_ : sum_ / static_cast<double>(count_);
  }

 private:
  const Success* spec_;
  VectorXd r_;
  double sum_ = 0.0, largest_ = 0.0;
  Index count_ = 0;
};

}  // namespace kedge
