// Controllers chosen by the initial state, and the parameters of controllers. What every policy keeps: laws_test.cpp.
#include "kedge/policy/contextual.h"

#include <gtest/gtest.h>

#include "kedge/core/errors.h"

namespace kedge {
namespace {

const Context kContext{{2, 0}, VectorXd{{1.0, 0.0}}, VectorXd{{0.5, 4.0}}, true};

TEST(Context, HasEntriesAndTheirSquares) {
  EXPECT_EQ(kContext.features(), 4);
  EXPECT_EQ(kContext.of(VectorXd{{8.0, 7.0, 0.0}}), (VectorXd{{-2.0, 2.0, 4.0, 4.0}}));
  EXPECT_THROW((void)kContext.of(VectorXd{{8.0, 7.0}}), InputError);
}

TEST(Contextual, ChoosesTheControllerOfTheInitialState) {
  // theta = [K, k] of one gain and one offset
  const MatrixXd map{{1.0, 2.0, 0.0, 0.0, 0.0}, {3.0, 0.0, 0.0, 0.0, 5.0}};
  const ContextualPolicy policy(kContext, map, TvLinearGaussian::constant(3, 1, VectorXd{{7.0}}, VectorXd{{1.0}}));
  const auto chosen = policy.for_episode(VectorXd{{8.0, 7.0, 0.0}}, {});
  ASSERT_NE(chosen, nullptr);
  VectorXd a(1);
  for (int t = 0; t < 3; ++t) {
    chosen->mean(t, VectorXd{{10.0}}, a);
    EXPECT_EQ(a[0], (1.0 - 4.0) * 10.0 + 3.0 + 20.0);
    policy.mean(t, VectorXd{{10.0}}, a);
    EXPECT_EQ(a[0], 7.0) << "where no episode begins, the one in the middle";
  }
}

TEST(Contextual, RefusesWhatDoesNotFit) {
  const Controller middle = TvLinearGaussian::constant(3, 1, VectorXd{{7.0}}, VectorXd{{1.0}});
  EXPECT_THROW(ContextualPolicy(kContext, MatrixXd::Zero(2, 4), middle), InputError);
  Context flat = kContext;
  flat.scale[1] = 0.0;
  EXPECT_THROW(ContextualPolicy(flat, MatrixXd::Zero(2, 5), middle), InputError);
  EXPECT_THROW(ContextualPolicy({}, MatrixXd::Zero(2, 1), middle), InputError);
  const ContextualPolicy wrong(kContext, MatrixXd::Zero(3, 5), middle);  // found where a controller is made
  EXPECT_THROW((void)wrong.for_episode(VectorXd::Zero(3), {}), InputError);
}

TEST(WithParameters, SetsTheGoalsOfAMovementOrItsWeightsToo) {
  const MatrixXd movement = MatrixXd::Ones(1, 6);
  const InverseDynamics mass = [](VectorIn, VectorIn, VectorIn qdd, VectorOut a, MatrixOut inertia) {
    a = qdd;
    inertia.setIdentity();
  };
  const Tracking tracking{{0}, {1}, VectorXd{{-1.0}}, VectorXd{{1.0}}, VectorXd{{0.1}}};
  const Controller dmp =
      DmpPolicy::track(movement, std::make_shared<MovementBasis>(movement_basis(4, 0.1, 2)), tracking, 2, mass);
  const auto changed = [&](const VectorXd& theta) {
    return std::get<DmpPolicy>(with_parameters(dmp, theta, [&] { return mass; })).movement();
  };
  EXPECT_EQ(changed(VectorXd{{5.0, 6.0}}), (MatrixXd{{1.0, 1.0, 5.0, 6.0, 1.0, 1.0}}));
  EXPECT_EQ(changed(VectorXd{{5.0, 6.0, 7.0, 8.0}}), (MatrixXd{{1.0, 1.0, 5.0, 6.0, 7.0, 8.0}}));
  EXPECT_THROW(changed(VectorXd{{5.0, 6.0, 7.0}}), InputError);
  EXPECT_THROW((void)with_parameters(dmp, VectorXd{{5.0, 6.0}}, {}), InputError) << "no model";
}

}  // namespace
}  // namespace kedge
