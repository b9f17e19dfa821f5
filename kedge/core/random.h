// Random numbers as a pure function of (seed, iteration, rollout, step): threads share no state, and no result depends on
// the order of drawing. Philox4x32-10 [Salmon2011] in counter mode; normals by Box-Muller, because
// std::normal_distribution differs between standard libraries. The table of all streams of a run is at the end.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>

#include "kedge/core/types.h"

namespace kedge {

/// A stream of random numbers, named by four integers. Streams with different names are independent; the same name always
/// gives the same numbers.
class Stream {
 public:
  /// @param seed of the run  @param iteration, rollout, step  name the stream within the run; their table is `streams`
  Stream(std::uint64_t seed, std::uint32_t iteration, std::uint32_t rollout, std::uint32_t step);

  double uniform();          ///< Draws from [0, 1), 53 bits.
  double normal();           ///< Draws from N(0, 1).
  void normal(VectorOut z);  ///< Draws every entry from N(0, 1).
  std::uint64_t bits();      ///< Draws 64 uniform bits.

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 3> name_;
  std::uint32_t block_ = 0;
  std::array<std::uint64_t, 2> buffer_{};
  int left_ = 0;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

/// Computes Philox4x32-10, the block cipher behind `Stream`. Public for its known-answer test.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// One use of random numbers in a run. Its streams are named by an iteration and a rollout in these ranges, ends included,
/// and by any step.
struct StreamUse {
  const char* user;
  std::uint32_t first_iteration, last_iteration;
  std::uint32_t first_rollout, last_rollout;

  /// Returns the name of this use's k-th iteration, k = 0, 1, ...
  [[nodiscard]] constexpr std::uint32_t iteration(int k) const {
    assert(k >= 0 && static_cast<std::uint32_t>(k) <= last_iteration - first_iteration);
    return first_iteration + static_cast<std::uint32_t>(k);
  }
  /// Returns the name of this use's n-th rollout, n = 0, 1, ...
  [[nodiscard]] constexpr std::uint32_t rollout(int n) const {
    assert(n >= 0 && static_cast<std::uint32_t>(n) <= last_rollout - first_rollout);
    return first_rollout + static_cast<std::uint32_t>(n);
  }
};

/// All streams of a run. Uses whose ranges are disjoint in iterations or in rollouts are independent. Rollouts are
/// numbered from 0 and stay below 2^31; all other uses take numbers above. Two things have seeds of their own and
/// are not in the table: the bootstrap of math/statistics.h, and the random search of a sweep.
namespace streams {

inline constexpr std::uint32_t last_training_iteration = 0x3fffffff, last_rollout_number = 0x7fffffff;

// Rollouts: step 0 draws the initial state, step t + 1 the exploration noise of action t.
inline constexpr StreamUse training{"rollouts of training", 0, last_training_iteration, 0, last_rollout_number};
inline constexpr StreamUse guide_rollouts{"rollouts of a guide (gps_is)", 0x40000000, 0x4fffffff, 0,
                                          last_rollout_number};
inline constexpr StreamUse candidate_rollouts{"rollouts of a candidate network (gps_is)", 0x50000000, 0x5fffffff, 0,
                                              last_rollout_number};
inline constexpr StreamUse quiet_rollouts{"quiet rollouts (reckon)", 0x60000000, 0x60000000, 0, last_rollout_number};
inline constexpr StreamUse evaluation{"rollouts of an evaluation", 0xffffffff, 0xffffffff, 0, last_rollout_number};

/// States drawn from a guide's marginals. The rollout is the condition, the step is `marginal_step`.
inline constexpr StreamUse marginals{"marginals of a guide", 0, last_training_iteration, 0xffff0000, 0xffffffef};

/// The weights of a network before the first fit. The step is the member of an ensemble.
inline constexpr StreamUse network{"first weights of a network", 0, 0, 0xfffffff0, 0xfffffff0};

/// The initial state of a guide. The step is the condition.
inline constexpr StreamUse conditions{"initial states of guides", 0, 0, 0xfffffff1, 0xfffffff1};

/// The minibatches of a network's fit. The step is the number of the fit within the iteration, or the member of an ensemble.
inline constexpr StreamUse fit{"minibatches of a fit", 0, last_training_iteration, 0xfffffff2, 0xfffffff2};

/// The directions of a random search. The step is the number of the direction.
inline constexpr StreamUse directions{"directions (random_search)", 0, last_training_iteration, 0xfffffff3, 0xfffffff3};

/// The starts and the noise of imagined rollouts. The step is 0.
inline constexpr StreamUse imagination{"imagined rollouts (reckon)", 0, last_training_iteration, 0xfffffff4,
                                       0xfffffff4};

/// The parameters of a rollout's controller. The step is the number of the rollout.
inline constexpr StreamUse parameters{"parameters of controllers (reps, more)", 0, last_training_iteration, 0xfffffff5,
                                      0xfffffff5};
/// The random projections of a model of the return. The step is the number of the projection.
inline constexpr StreamUse projections{"projections (more)", 0, last_training_iteration, 0xfffffff6, 0xfffffff6};

/// The seeding of the mixture prior.
inline constexpr StreamUse mixture{"mixture prior (gps)", 0, last_training_iteration, 0xffffffff, 0xffffffff};

/// The noise on the first actions. The rollout is the start, from the first with noise on; the step is that of the action. A
/// run of ilqr has no rollouts of training, with which they share their names.
inline constexpr StreamUse first_actions{"first actions (ilqr)", 0, 0, 0, last_rollout_number};

inline constexpr std::array all{
    training, guide_rollouts, candidate_rollouts, quiet_rollouts, evaluation,  marginals, network,      conditions,
    fit,      directions,     imagination,        parameters,     projections, mixture,   first_actions};

/// The step that draws the initial state of a rollout.
inline constexpr std::uint32_t start_step = 0;

/// Returns the step that draws the exploration noise of action t.
constexpr std::uint32_t action_step(int t) { return static_cast<std::uint32_t>(t) + 1; }

/// The draw of `marginals` over which the cost of a policy is averaged. The draws of a fit count from 0.
inline constexpr int policy_cost_draw = 4095;

/// Returns the step of `marginals` at time t of a draw. @param draw in [0, 4096)  @param t in [0, 2^20)
constexpr std::uint32_t marginal_step(int draw, Index t) {
  assert(draw >= 0 && draw <= policy_cost_draw && t >= 0 && t < Index{1} << 20);
  return (static_cast<std::uint32_t>(draw) << 20) + static_cast<std::uint32_t>(t);
}

}  // namespace streams

}  // namespace kedge
