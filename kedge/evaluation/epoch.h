// The stored data of one iteration, and its transitions in the layout that the regressions read.
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "kedge/core/batch.h"
#include "kedge/math/gaussian.h"
#include "kedge/policy/tv_linear_gaussian.h"
#include "kedge/system/task.h"

namespace kedge {

/// One iteration's rollouts, the policy that made them, and its estimated state distribution.
struct Epoch {
  int iteration = 0;
  TvLinearGaussian policy;
  std::vector<Gaussian> rho;  ///< [T] rho~_t, over observations
  Batch batch;
};

/// The last iterations, oldest first. Copies share their epochs until one of them is changed, so a copy costs little.
class Window {
 public:
  Window() = default;
  Window(std::initializer_list<Epoch> epochs) {
    for (const Epoch& epoch : epochs) push_back(epoch);
  }

  [[nodiscard]] std::size_t size() const { return epochs_.size(); }
  [[nodiscard]] bool empty() const { return epochs_.empty(); }
  [[nodiscard]] const Epoch& operator[](std::size_t i) const { return *epochs_[i]; }
  [[nodiscard]] const Epoch& front() const { return *epochs_.front(); }
  [[nodiscard]] const Epoch& back() const { return *epochs_.back(); }

  void push_back(Epoch epoch) { epochs_.push_back(std::make_shared<Epoch>(std::move(epoch))); }
  void pop_front() { epochs_.pop_front(); }
  void pop_back() { epochs_.pop_back(); }
  /// Returns epoch i to be changed; other windows keep theirs.
  [[nodiscard]] Epoch& change(std::size_t i) {
    if (epochs_[i].use_count() > 1) epochs_[i] = std::make_shared<Epoch>(*epochs_[i]);
    return *epochs_[i];
  }

  class Iterator {
   public:
    explicit Iterator(std::deque<std::shared_ptr<Epoch>>::const_iterator at) : at_(at) {}
    const Epoch& operator*() const { return **at_; }
    Iterator& operator++() { return ++at_, *this; }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    std::deque<std::shared_ptr<Epoch>>::const_iterator at_;
  };
  [[nodiscard]] Iterator begin() const { return Iterator(epochs_.begin()); }
  [[nodiscard]] Iterator end() const { return Iterator(epochs_.end()); }

 private:
  std::deque<std::shared_ptr<Epoch>> epochs_;
};

/// The usable transitions of a batch, one sample a column, ordered by time step and within it by rollout: those of step t
/// are columns t * per_step ... (t + 1) * per_step - 1.
struct Transitions {
  Index per_step = 0;   ///< usable rollouts
  MatrixXd x;           ///< [ds + da, n] observation and action, (s, a)
  MatrixXd next;        ///< [ds, n] next observation, s'
  MatrixXd terms;       ///< [cost terms, n] at (s, a)
  MatrixXd next_terms;  ///< [cost terms, n] at s'
  VectorXd cost_to_go;  ///< [n] summed cost from this step to the end of its own rollout

  [[nodiscard]] Index size() const { return x.cols(); }
};
Transitions transitions(const Batch& batch);

}  // namespace kedge
