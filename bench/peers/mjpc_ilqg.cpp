// MJPC's iLQG from first actions, without its window and its clock. mjpc_ilqg.py compiles this beside MJPC's own sources.
//
//   mjpc_ilqg MODEL STEPS ITERATIONS WINDOW TOLERANCE CENTRED WHOLE < actions
//
// Prints a line for each iteration: the mean cost of the trajectory's steps + 1 states, the processor time so far, the
// regularisation, the step size; then "actions" and the last trajectory's; then "parts" and the processor times of the
// derivatives of the dynamics, of those of the cost, and of the backward pass, each the median of 9 at the last trajectory.
// Ends where WINDOW iterations together lower the cost by no more than TOLERANCE of it.
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "mjpc/planners/ilqg/planner.h"
#include "mjpc/states/state.h"
#include "mjpc/task.h"
#include "mjpc/threadpool.h"

namespace {

double processor_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Residuals: the torques before the time residual_end, then angles and speeds from the time residual_late on.
class Residuals : public mjpc::BaseResidualFn {
 public:
  using BaseResidualFn::BaseResidualFn;
  void Residual(const mjModel* model, const mjData* data, double* residual) const override {
    const double late = data->time > parameters_[0] ? 1 : 0, running = data->time < parameters_[1] ? 1 : 0;
    for (int i = 0; i < model->nu; ++i) *residual++ = running * data->ctrl[i];
    for (int i = 0; i < model->nq; ++i) *residual++ = late * data->qpos[i];
    for (int i = 0; i < model->nv; ++i) *residual++ = late * data->qvel[i];
  }
};

class SwingUp : public mjpc::Task {
 public:
  std::string Name() const override { return "swing-up"; }
  std::string XmlPath() const override { return ""; }

 protected:
  std::unique_ptr<mjpc::ResidualFn> ResidualLocked() const override { return std::make_unique<Residuals>(residuals_); }
  Residuals* InternalResidual() override { return &residuals_; }

 private:
  Residuals residuals_{this};
};

SwingUp task;

void sense(const mjModel* model, mjData* data, int stage) {
  if (stage == mjSTAGE_ACC) task.Residual(model, data, data->sensordata);
}

template <typename Part>
double median_seconds(Part part) {
  std::vector<double> all(9);
  for (double& seconds : all) {
    const double begin = processor_seconds();
    part();
    seconds = processor_seconds() - begin;
  }
  std::nth_element(all.begin(), all.begin() + 4, all.end());
  return all[4];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return std::fputs("see the first lines of mjpc_ilqg.cpp\n", stderr), 2;
  const int steps = std::atoi(argv[2]), iterations = std::atoi(argv[3]), window = std::atoi(argv[4]);
  const double tolerance = std::atof(argv[5]);
  const bool whole = std::atoi(argv[7]) != 0;  // OptimizePolicy: with rollouts before each iteration
  const int horizon = steps + 1;
  if (horizon > mjpc::kMaxTrajectoryHorizon) return std::fputs("too many steps for MJPC\n", stderr), 1;

  char error[1000];
  mjModel* model = mj_loadXML(argv[1], nullptr, error, sizeof error);
  if (!model) return std::fprintf(stderr, "%s\n", error), 1;
  mjData* data = mj_makeData(model);
  task.Reset(model);
  mjcb_sensor = sense;
  mj_resetDataKeyframe(model, data, 0);
  mj_forward(model, data);
  mjpc::State state;
  state.Initialize(model);
  state.Allocate(model);
  state.Reset();
  state.Set(model, data);

  const auto planner = std::make_unique<mjpc::iLQGPlanner>();
  planner->Initialize(model, task);
  planner->Allocate();
  planner->Reset(mjpc::kMaxTrajectoryHorizon);
  planner->settings.fd_mode = std::atoi(argv[6]);
  planner->SetState(state);
  mjpc::Trajectory& first = planner->policy.trajectory;
  first.horizon = horizon;
  double time = 0;
  for (int t = 0; t < horizon; ++t, time += model->opt.timestep) first.times[t] = time;
  for (int i = 0; i < steps * model->nu; ++i) {
    if (std::scanf("%lf", &first.actions[i]) != 1) return std::fputs("actions are missing\n", stderr), 1;
  }

  mjpc::ThreadPool pool(1);
  const mjpc::Trajectory& now = planner->candidate_policy[0].trajectory;
  const double begin = processor_seconds();
  planner->UpdateNumTrajectoriesFromGUI();
  planner->NominalTrajectory(horizon, pool);
  std::vector<double> costs;
  const auto report = [&] {
    costs.push_back(now.total_return);
    std::printf("%.17g %.9g %.9g %.9g\n", now.total_return, processor_seconds() - begin,
                planner->backward_pass.regularization, planner->action_step);
  };
  report();
  for (int i = 1; i <= iterations; ++i) {
    if (whole) {
      planner->OptimizePolicy(horizon, pool);
    } else {
      planner->Iteration(horizon, pool);
    }
    report();
    if (i >= window && costs[i - window] - costs[i] <= tolerance * std::abs(costs[i])) break;
  }
  std::puts("actions");
  for (int i = 0; i < steps * model->nu; ++i) std::printf("%.17g\n", now.actions[i]);

  mjpc::iLQGPlanner& p = *planner;
  const double dynamics = median_seconds([&] {
    p.model_derivative.Compute(model, p.data_, now.states.data(), now.actions.data(), now.times.data(), p.dim_state,
                               p.dim_state_derivative, p.dim_action, p.dim_sensor, horizon, p.settings.fd_tolerance,
                               p.settings.fd_mode, pool, 0);
  });
  std::vector<double> residual = now.residual;
  const double cost = median_seconds([&] {
    p.cost_derivative.Compute(residual.data(), p.model_derivative.C.data(), p.model_derivative.D.data(),
                              p.dim_state_derivative, p.dim_action, p.dim_max, p.dim_sensor, task.num_residual,
                              task.dim_norm_residual.data(), task.num_term, task.weight.data(), task.norm.data(),
                              task.norm_parameter.data(), task.num_norm_parameter.data(), task.risk, horizon, pool);
  });
  const double regularization = p.backward_pass.regularization;
  const std::vector<double> actions = now.actions;
  int stopped = 0;
  const double backward = median_seconds([&] {
    stopped |= p.backward_pass.Riccati(&p.candidate_policy[0], &p.model_derivative, &p.cost_derivative,
                                       p.dim_state_derivative, p.dim_action, horizon, regularization, p.boxqp,
                                       actions.data(), model->actuator_ctrlrange, p.settings);
  });
  std::printf("parts\n%.9g %.9g %.9g\n", dynamics, cost, stopped ? std::nan("") : backward);
  mj_deleteData(data);
  mj_deleteModel(model);
}
