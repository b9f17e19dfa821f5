// The analytic table-tennis player (Muelling, Kober & Peters 2011, as in [Akrour2018, Sec. 7.2]): one forehand stroke for a
// ball whose flight it predicts. It waits, swings back, hits at a virtual plane and returns.
#pragma once

#include "kedge/worlds/table_tennis.h"

namespace kedge {

struct PlayerOptions {
  VectorXd posture;            ///< [n] where the joints would like to be at the hit, rad or m
  double hitting_plane = 0.0;  ///< y of the virtual plane, m
  Eigen::Vector2d aim;         ///< where the ball shall land, m
  double flight = 0.6;         ///< s from the hit to there, > 0
  double preparation = 0.27;   ///< s until the racket is back, > 0
  double finish = 1.0;         ///< s from the hit back to where it waited, > 0
  double stiffness = 100.0;    ///< of the joints' errors, rad/s^2 per rad, >= 0
  double damping = 20.0;       ///< rad/s^2 per rad/s, >= 0
};

/// A planned stroke of the n joints that the system drives.
struct StrokePlan {
  double hit_time = 0.0;                   ///< s
  Ball ball;                               ///< as it reaches the plane
  Eigen::Vector3d out;                     ///< its velocity after the hit
  Racket racket;                           ///< that gives it this velocity; it does not turn
  VectorXd waiting, back;                  ///< [n] at time 0, and at the end of the preparation, at rest
  VectorXd hit, hit_velocity;              ///< [n]
  double preparation = 0.0, finish = 0.0;  ///< s

  /// Returns where the joints shall be: quintics between waiting, back, hit and waiting again. @param q, qd, qdd [n], out
  void at(double t, VectorOut q, VectorOut qd, VectorOut qdd) const;
};

/// Plans a stroke by
///   1. the ball's flight, its bounce without noise, until it crosses the plane
///   2. v_out, so that it lands at the aim after `flight` seconds, drag included
///   3. n = (v_out - v_in) / |v_out - v_in|, and the racket's speed along n (v_out'n + e v_in'n) / (1 + e)
///   4. joints at the hit: minimise sum_j w_j (q - posture)^2 such that the face is at the ball and its normal n; w = 100
///      for slides, 1 for hinges
///   5. their velocity: the least, by the same weights, that moves the racket so and does not turn its face
///   6. the way back: q - D qd / 2, D the duration of the hit, so that it is one of constant acceleration
/// @param x [nx] state at time 0
/// @throws InputError if the ball cannot be hit: it does not bounce once and cross the plane, or too early; the joints do
/// not reach
StrokePlan plan_stroke(const TableTennisSystem& system, VectorIn x, const PlayerOptions& options);

/// A stroke as the robot makes it.
struct Stroke {
  MatrixXd control;    ///< [nu, sub-steps], within the limits
  VectorXd end;        ///< [nx] state after them
  double error = 0.0;  ///< largest |q - reference|, rad or m
};

/// Follows a plan by inverse dynamics at every sub-step, u = ID(q, qd, qdd_ref + damping (qd_ref - qd) + stiffness (q_ref - q)).
/// @param x [nx]  @param low, high [nu]  @param sub_steps >= 1
/// @throws InputError if the simulation or its inverse dynamics fails
Stroke play_stroke(const TableTennisSystem& system, const StrokePlan& plan, VectorIn x, const PlayerOptions& options,
                   VectorIn low, VectorIn high, int sub_steps);

}  // namespace kedge
