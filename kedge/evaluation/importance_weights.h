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
#include <vector>

#include "kedge/evaluation/epoch.h"
#include "kedge/evaluation/whitening.h"

namespace kedge {

enum class Reuse { none, time, iterations, time_and_iterations };

/// The samples that count in one regression.
struct WeightedSamples {
  std::vector<Index> row;  ///< rows of the window's transitions, ascending: epochs oldest first, one after another
  VectorXd weight;         ///< [row.size()] > 0, sum 1
  double effective =
      0.0;  ///< effective sample size (sum w)^2 / sum w^2 of all candidates, to a relative error of cutoff
  double left_out = 0.0;  ///< share of the total weight that was left out, <= cutoff; too small by at most cutoff / 2,
                          ///< the share of those too light to be looked at
};

/// Selects the heaviest samples such that what is left out holds at most `cutoff` of the total weight.
/// @param log_weight [n], -inf allowed
/// @return no rows if no weight is finite
WeightedSamples select_samples(VectorIn log_weight, double cutoff);

/// The densities of the stored samples under the stored policies, kept up to date from iteration to iteration: an iteration
/// costs (new samples) x (old components) + (all samples) x (new components) evaluations.
class SampleReuse {
 public:
  /// @param window K >= 1, epochs kept  @param cutoff see select_samples
  SampleReuse(Reuse reuse, int window, double cutoff) : reuse_(reuse), window_(window), cutoff_(cutoff) {}

  /// Adds the newest epoch (its rho must be set) and forgets the oldest ones beyond the window. The same epochs pushed in
  /// the same order give the same numbers, bit for bit, for any number of threads.
  void push(const Epoch& epoch, int threads);

  /// Samples and weights for the regression at step t of the newest epoch.
  [[nodiscard]] WeightedSamples samples(int t) const;

  /// The stored transitions, oldest epoch first; rows of WeightedSamples count through them.
  [[nodiscard]] const std::deque<Transitions>& data() const { return data_; }

  /// The densities z_t of the newest epoch. @return [T]
  [[nodiscard]] const std::vector<Whitening>& density() const { return density_.back(); }

 private:
  struct Tile {
    std::size_t data;
    Index number, row, count;  ///< within the data; its first sample and how many, within all samples
  };
  void push_over_time(int threads);
  void push_own_step();
  [[nodiscard]] VectorXd log_weights(const Tile& tile, int t) const;
  [[nodiscard]] WeightedSamples samples_over_time(int t) const;

  Reuse reuse_;
  int window_;
  double cutoff_;
  std::deque<Transitions> data_;
  std::deque<MatrixXd> tiled_;                  ///< [data] x of its samples, tile by tile: [kTile, tiles n]
  std::deque<std::vector<Whitening>> density_;  ///< [epoch][T] the densities z_t of each epoch
  std::deque<std::deque<VectorXd>>
      log_z_;             ///< [data][epoch] log density of each sample under an epoch: over all steps,
                          ///< log sum_t z_t, or, for Reuse::iterations, at the sample's own step
  VectorXd log_mixture_;  ///< [all samples] log z^{1:i}
  VectorXd log_weight_;   ///< [all samples] log w of the own step, for Reuse::iterations
  std::vector<Tile> tiles_;
  MatrixXd
      tile_bound_;  ///< [tiles, T] no log w_t of the tile is larger. It is the largest one itself unless that is negligible
                    ///< against the mixture, as in most tiles, which hold nothing that counts at t.
};

}  // namespace kedge
