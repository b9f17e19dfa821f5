// A table-tennis ball: flight with quadratic drag, and its impacts on table, net and racket as maps of its velocity. Without
// spin.
#pragma once

#include <Eigen/Dense>
#include <optional>

#include "kedge/core/types.h"

namespace kedge {

struct Ball {
  Eigen::Vector3d p = Eigen::Vector3d::Zero(), v = Eigen::Vector3d::Zero();  ///< m, m/s
};
/// Interpolates between two instants. @param f in [0, 1]
Ball between(const Ball& a, const Ball& b, double f);

/// Where a ball flies, and how it bounces. Lengths in m; z is up; the net stands across y.
struct Court {
  Eigen::Vector2d low, high;                    ///< corners of the table, x and y
  double surface = 0.0;                         ///< height of its surface
  double net = 0.0;                             ///< y of the net
  double net_top = 0.0;                         ///< height of its upper edge
  double net_thickness = 0.0, net_width = 0.0;  ///< half of them
  double radius = 0.02;                         ///< of the ball
  double blade = 0.076;                         ///< radius of the racket
  double drag = 0.0;                            ///< C in dv/dt = gravity - C |v| v, 1/m
  Eigen::Vector3d gravity{0.0, 0.0, -9.81};     ///< m/s^2
  double side = -1.0;                           ///< of the opponent: the sign of y - net there

  double table_restitution = 0.88;
  Eigen::Vector2d table_tangential{0.68, 0.72};  ///< shares of v_x, v_y that a bounce leaves
  double racket_restitution = 0.78;
  double net_restitution = 0.05;

  [[nodiscard]] double height() const { return surface + radius; }  ///< of a ball that touches the table
  /// True where a ball at this x and y is above the table.
  [[nodiscard]] bool on_table(double x, double y) const;
};

/// A racket: a disc.
struct Racket {
  Eigen::Vector3d p = Eigen::Vector3d::Zero(), n = Eigen::Vector3d::UnitZ();  ///< centre, m; unit normal
  Eigen::Vector3d v = Eigen::Vector3d::Zero(), w = Eigen::Vector3d::Zero();   ///< m/s, rad/s
};
/// Interpolates; the normal keeps its length.
Racket between(const Racket& a, const Racket& b, double f);

/// Returns dv/dt of a ball in flight.
Eigen::Vector3d acceleration(const Court& court, const Eigen::Vector3d& v);
/// Returns the ball after h seconds of flight by one step of the semi-implicit Euler method, as MuJoCo's integrator makes it.
Ball euler_step(const Court& court, const Ball& ball, double h);
/// Returns the ball after h seconds of flight by one step of RK4.
Ball rk4_step(const Court& court, const Ball& ball, double h);

/// Returns the ball as it meets the table between two instants; nothing if it does not. @param f out: fraction of the way
std::optional<Ball> meets_table(const Court& court, const Ball& a, const Ball& b, double& f);

/// Returns the velocity after a bounce on the table, (c_x v_x, c_y v_y, -e v_z).
Eigen::Vector3d after_table(const Court& court, const Eigen::Vector3d& v);
/// Returns the velocity after a hit by the racket: v + (1 + e) n n'(v_r - v), v_r that of the racket's point at the ball.
Eigen::Vector3d after_racket(const Court& court, const Ball& ball, const Racket& racket);

/// Where a ball comes down to the table's height if it meets nothing before.
struct Landing {
  Eigen::Vector2d at{0.0, 0.0};  ///< m
  double clearance = -1.0;       ///< m of the ball above the net's edge when it passes the net; -1 if it never does
};
/// Flies by RK4 in steps of 10 ms, for 3 s at most; the instants of crossing are found by Newton's method on the last step.
/// A ball that is below the table's height and falls lands where it is.
Landing landing(const Court& court, Ball ball);

}  // namespace kedge
