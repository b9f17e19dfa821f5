// Reuse of samples over time steps and iterations by importance weights [Akrour2018, Sec. 4.2], in the log domain.
//
// For the regression at step t of iteration i, a stored transition (s, a, s') weighs
//
//   w_t(s, a) = z_t^i(s, a) / z^{1:i}(s, a),    z_t^j(s, a) = rho_t^j(s) pi_t^j(a|s),
//
// z^{1:i}: the mixture of all densities that the stored samples were drawn from, in proportion to their numbers:
//   reuse over time steps and iterations:  sum_j n_j sum_t' z_t'^j      (Sec. 4.2.2, both forms combined)
//   over time steps only:                  sum_t' z_t'^i                (Eq. 8)
//   over iterations only:                  sum_j n_j z_t^j              at the sample's own step t
//   none:                                  w = 1 for the samples of step t of iteration i
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "kedge/evaluation/epoch.h"
#include "kedge/evaluation/whitening.h"

namespace kedge {

enum class Reuse { none, time, iterations, time_and_iterations };

/// The samples that count in one regression.
struct WeightedSamples {
  std::vector<Index> row;  ///< rows of the stored transitions, ascending: epochs concatenated, oldest first
  VectorXd weight;         ///< [row.size()] > 0, sum 1

  /// Effective sample size (sum w)^2 / sum w^2 of all candidates, to a relative error of the cutoff.
  double effective = 0.0;

  /// Share of the total weight that was left out, <= cutoff. It is too small by at most cutoff / 2, the share of the
  /// samples that are too light to be examined.
  double left_out = 0.0;
};

/// Selects the heaviest samples such that the others hold at most `cutoff` of the total weight.
/// @param log_weight [n], -inf allowed
/// @return no rows if no weight is finite
WeightedSamples select_samples(VectorIn log_weight, double cutoff);

/// Stored epochs, oldest first.
struct StoredEpochs {
  std::deque<Transitions> data;
  std::deque<std::vector<Whitening>> density;  ///< [epoch][T] the densities z_t
};

/// The weights of stored samples; one class for each kind of reuse.
class ReuseWeights;

/// The densities of the stored samples under the stored policies, kept up to date from iteration to iteration: an
/// iteration costs (new samples) x (old components) + (all samples) x (new components) evaluations.
class SampleReuse {
 public:
  /// @param window K >= 1, epochs kept  @param cutoff see select_samples
  SampleReuse(Reuse reuse, int window, double cutoff);
  SampleReuse(SampleReuse&&) noexcept;
  SampleReuse& operator=(SampleReuse&&) noexcept;
  ~SampleReuse();

  /// Adds the newest epoch (its rho must be set) and forgets the oldest ones beyond the window. The same epochs pushed in
  /// the same order give the same numbers, bit for bit, for any number of threads.
  void push(const Epoch& epoch, int threads);

  /// Returns samples and weights for the regression at step t of the newest epoch.
  [[nodiscard]] WeightedSamples samples(int t) const;

  /// Returns the stored transitions, oldest epoch first; rows of WeightedSamples count through them.
  [[nodiscard]] const std::deque<Transitions>& data() const { return stored_.data; }

  /// Returns the densities z_t of the newest epoch. @return [T]
  [[nodiscard]] const std::vector<Whitening>& density() const { return stored_.density.back(); }

 private:
  int window_;  // 1 where past epochs do not count
  double cutoff_;
  StoredEpochs stored_;
  std::unique_ptr<ReuseWeights> weights_;
};

}  // namespace kedge
