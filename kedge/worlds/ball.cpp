#include "kedge/worlds/ball.h"

#include <cmath>

namespace kedge {

namespace {

/// The instant in [0, h] at which entry `axis` of the position is `value`, and the ball then. The entry passes the value once.
Ball at_value(const Court& court, const Ball& ball, double h, int axis, double value) {
  double low = 0.0, high = h, t = 0.5 * h;
  const bool rising = ball.p[axis] < value;
  Ball at = ball;
  for (int i = 0; i < 60; ++i) {
    at = rk4_step(court, ball, t);
    const double miss = at.p[axis] - value;
    if (std::abs(miss) < 1e-13 || high - low < 1e-15) break;
    ((miss < 0.0) == rising ? low : high) = t;
    const double newton = t - miss / at.v[axis];
    t = newton > low && newton < high ? newton : 0.5 * (low + high);
  }
  return at;
}

}  // namespace

bool Court::on_table(double x, double y) const { return x >= low[0] && x <= high[0] && y >= low[1] && y <= high[1]; }

Ball between(const Ball& a, const Ball& b, double f) { return {a.p + f * (b.p - a.p), a.v + f * (b.v - a.v)}; }

Racket between(const Racket& a, const Racket& b, double f) {
  const auto mix = [f](const Eigen::Vector3d& from, const Eigen::Vector3d& to) -> Eigen::Vector3d {
    return from + f * (to - from);
  };
  return {mix(a.p, b.p), mix(a.n, b.n).normalized(), mix(a.v, b.v), mix(a.w, b.w)};
}

Eigen::Vector3d acceleration(const Court& court, const Eigen::Vector3d& v) {
  return court.gravity - court.drag * v.norm() * v;
}

Ball euler_step(const Court& court, const Ball& ball, double h) {
  const Eigen::Vector3d v = ball.v + h * acceleration(court, ball.v);
  return {ball.p + h * v, v};
}

Ball rk4_step(const Court& court, const Ball& ball, double h) {
  const Eigen::Vector3d k1 = acceleration(court, ball.v), v2 = ball.v + 0.5 * h * k1;
  const Eigen::Vector3d k2 = acceleration(court, v2), v3 = ball.v + 0.5 * h * k2;
  const Eigen::Vector3d k3 = acceleration(court, v3), v4 = ball.v + h * k3;
  const Eigen::Vector3d k4 = acceleration(court, v4);
  return {ball.p + h / 6.0 * (ball.v + 2.0 * v2 + 2.0 * v3 + v4), ball.v + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)};
}

std::optional<Ball> meets_table(const Court& court, const Ball& a, const Ball& b, double& f) {
  const double z = court.height();
  if (!(a.p[2] >= z && b.p[2] < z)) return std::nullopt;
  f = (a.p[2] - z) / (a.p[2] - b.p[2]);
  Ball ball = between(a, b, f);
  ball.p[2] = z;
  if (!court.on_table(ball.p[0], ball.p[1])) return std::nullopt;
  return ball;
}

Eigen::Vector3d after_table(const Court& court, const Eigen::Vector3d& v) {
  return {court.table_tangential[0] * v[0], court.table_tangential[1] * v[1], -court.table_restitution * v[2]};
}

Eigen::Vector3d after_racket(const Court& court, const Ball& ball, const Racket& racket) {
  const Eigen::Vector3d arm = ball.p - racket.p, in_plane = arm - arm.dot(racket.n) * racket.n;
  const Eigen::Vector3d point = racket.v + racket.w.cross(in_plane);
  return ball.v + (1.0 + court.racket_restitution) * racket.n.dot(point - ball.v) * racket.n;
}

Landing landing(const Court& court, Ball ball) {
  constexpr double kStep = 0.01, kLongest = 3.0;
  Landing result;
  for (double t = 0.0; t < kLongest; t += kStep) {
    if (ball.p[2] < court.height() && ball.v[2] <= 0.0) break;
    const Ball next = rk4_step(court, ball, kStep);
    const bool lands = ball.p[2] >= court.height() && next.p[2] < court.height();
    const Ball end = lands ? at_value(court, ball, kStep, 2, court.height()) : next;
    if ((ball.p[1] - court.net) * court.side < 0.0 && (end.p[1] - court.net) * court.side >= 0.0)
      result.clearance = at_value(court, ball, kStep, 1, court.net).p[2] - court.radius - court.net_top;
    ball = end;
    if (lands) break;
  }
  result.at = ball.p.head<2>();
  return result;
}

}  // namespace kedge
