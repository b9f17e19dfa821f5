// Robot table tennis [Akrour2018, Sec. 7.2]: a robot with a racket, and a ball that bounces. Contacts of a simulator would make
// the landing point rough by centimetres; here impacts are maps of the ball's velocity, at their instants within a sub-step. The
// ball does not push the robot. docs/tasks/table_tennis.md.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kedge/mujoco/marks.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/worlds/ball.h"
#include "kedge/worlds/world.h"

namespace kedge {

struct TableTennisOptions {
  Eigen::Vector2d goal{0.0, -3.2};  ///< where the ball shall land, m; the opponent's side is the one where it is
  double table_restitution = 0.88;
  Eigen::Vector2d table_tangential{0.68, 0.72};
  double racket_restitution = 0.78;
  double net_restitution = 0.05;
};

/// Reads a court from the geoms of a model: "table" and "net" (boxes of the world's body), "ball" (a sphere), "blade" (a
/// cylinder), and the ball's drag from its simulation.
/// @throws InputError naming what is missing, or if the drag is not quadratic
Court court_of(const std::shared_ptr<const mjModel_>& model, const TableTennisOptions& options);

/// The state is that of the model and the record
///   bounce_noise   [2] added to v_x, v_y at the first bounce on our side, m/s: drawn with the start
///   bounces        on our side so far
///   crossed        0, or 1: the ball has crossed the plane of the racket, or 2: it was hit
///   off_centre     distance of that crossing from the racket's centre, of several misses the nearest; before, the least
///                  distance of the ball so far, m
///   landing        [2] where the ball lands after the hit; after a miss, where it would if the racket had no edge, m
///   net_clearance  height above the net of that flight, m
/// A miss counts within 0.5 m of the centre. The sensors are those of the model and
///   landing_error  [2] landing - goal, shortened to 2 m; (2, 0) if nothing was crossed
///   off_centre, landing, net_clearance  as above
///   hit            0 or 1
///   illegal        0 after a hit, once the ball has bounced once, that passes above the net and lands on the
///                  opponent's side; else 1
class TableTennisSystem final : public System, public AroundMujoco, public Marked {
 public:
  static constexpr const char* kKind = "table_tennis";

  /// @param model  with slides ball_x, ball_y, ball_z along the world's axes, a site "racket" whose z axis is the normal of the
  /// face, and the geoms of `court_of`  @param substeps >= 1
  /// @throws InputError naming what is missing  @throws SystemError
  TableTennisSystem(const std::shared_ptr<const mjModel_>& model, int substeps, const TableTennisOptions& options,
                    std::vector<JointLimit> joint_limits = {});
  TableTennisSystem(const TableTennisSystem& other);
  TableTennisSystem& operator=(const TableTennisSystem&) = delete;

  [[nodiscard]] Index nx() const override { return inner_.nx() + kRecord; }
  [[nodiscard]] Index nu() const override { return inner_.nu(); }
  [[nodiscard]] Index nsensor() const override { return inner_.nsensor() + kSensors; }
  [[nodiscard]] std::unique_ptr<System> clone() const override { return std::make_unique<TableTennisSystem>(*this); }
  [[nodiscard]] Index ndx() const override { return inner_.ndx() + kRecord; }
  void difference(VectorIn from, VectorIn to, VectorOut dx) const override;
  void integrate(VectorIn x, VectorIn dx, VectorOut moved) const override;
  void tangent(VectorIn x, MatrixOut G) const override;
  void reset(VectorIn x) override;
  [[nodiscard]] bool step(VectorIn u) override;
  [[nodiscard]] std::string trouble() const override { return inner_.trouble(); }
  [[nodiscard]] bool markov() const override { return inner_.markov(); }
  void settle() override;
  void state(VectorOut x) const override;
  void sensors(VectorOut y) const override;
  void hold(VectorIn x, VectorOut u) const override { inner_.hold(x.head(inner_.nx()), u); }
  [[nodiscard]] std::vector<Drive> drives() const override { return inner_.drives(); }
  [[nodiscard]] bool inverse_dynamics(VectorIn x, VectorIn acceleration, VectorOut u, MatrixOut inertia) override;

  [[nodiscard]] const MujocoSystem& mujoco() const override { return inner_; }
  /// The path of the ball, on to the table or the floor.
  [[nodiscard]] MatrixXd path(MatrixIn states) const override;
  /// Where the ball lands after a hit; good: a legal return.
  [[nodiscard]] std::optional<Mark> mark(VectorIn x) const override;
  [[nodiscard]] const Court& court() const { return court_; }
  [[nodiscard]] const TableTennisOptions& options() const { return options_; }
  [[nodiscard]] Index ball_position() const { return ball_q_; }  ///< entry of x: ball_x; ball_y and ball_z follow
  [[nodiscard]] Index ball_velocity() const { return ball_v_; }  ///< entry of x
  [[nodiscard]] Index racket_site() const { return site_; }
  [[nodiscard]] double sub_step() const { return h_; }  ///< s
  /// Returns the same system with control steps of one sub-step.
  [[nodiscard]] std::unique_ptr<TableTennisSystem> by_sub_steps() const;

  static const std::vector<Part>& state_parts();
  static const std::vector<Part>& sensor_parts();
  static VectorXd start();  ///< [kRecord]

 private:
  static constexpr Index kRecord = 8, kSensors = 8;
  struct Record {
    Eigen::Vector2d noise;
    double bounces, crossed, off_centre;
    Eigen::Vector2d landing;
    double clearance;
  };
  /// The free flight of the ball between two instants of a sub-step, fractions of it.
  struct Sweep {
    double from;
    Ball a, b;
  };
  struct Contact;
  [[nodiscard]] static Record record_of(VectorIn x);
  [[nodiscard]] bool legal(const Record& r) const;
  void write_sensors(VectorOut y) const;
  [[nodiscard]] bool racket_now(Racket& racket);
  void collide(const Sweep& whole, const Racket& before, const Racket& after, Ball& ball);
  [[nodiscard]] Contact next_contact(const Sweep& sweep, const Racket& before, const Racket& after, bool racket) const;
  [[nodiscard]] Ball bounce(const Contact& contact, const Racket& racket);
  void note_crossing(const Ball& at, const Racket& racket, double distance);

  MujocoSystem inner_;  ///< one sub-step is one of its control steps
  std::shared_ptr<const mjModel_> model_;
  int substeps_;
  TableTennisOptions options_;
  Court court_;
  Index ball_q_ = 0, ball_v_ = 0, site_ = 0;
  double h_ = 0.0;  ///< s, a sub-step
  Record record_{};
  SiteMotion motion_;
  VectorXd x_;  ///< [inner nx]
  VectorXd y_;  ///< [nsensor] as `sensors` reports them
};

/// Makes the world of a model. Parameters as of the system. @throws InputError, SystemError
World table_tennis(const std::shared_ptr<const mjModel_>& model, int substeps, const TableTennisOptions& options,
                   std::vector<JointLimit> joint_limits);

}  // namespace kedge
