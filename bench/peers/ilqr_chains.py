"""kedge's iLQR beside Crocoddyl's BoxFDDP: swing-ups of chains of n links, from the same first actions. Run by hand.

    python3 -m venv venv && venv/bin/pip install crocoddyl==3.2.1 pin==4.0.0 mujoco h5py   # a later pin loses gravity here
    venv/bin/python bench/peers/ilqr_chains.py --kedge kedge --work runs/chains --out chains.csv

Links of 1 kg and 1 m, motors of at most 25 N m, 5 s in 200 steps of RK4 that both programs make alike (checked before work
begins). Start s of 20 has normal noise of 7.5 N m on every action, of NumPy's default_rng(s). Of each start and program one
line of --out: its own word whether it converged, iterations, the cost of its actions in MuJoCo by the definition of chains.py,
the processor time, and how much of both it took to come within 1 % of its own end. What is there is not run again. Crocoddyl
averages the costs of a step over the stages of RK4, so that its optimum is of a slightly different cost; kedge's is the
definition's. kedge's time has the start of the program in it, 0.02 s.
"""

import argparse
import pathlib
import time

import crocoddyl
import numpy as np
import pinocchio

from chains import ANGLE, INERTIA, LIMIT, SPEED, TORQUE, Chain, Lines, by_kedge, to_1_percent


def crocoddyl_problem(chain):
    n, T, dt, last = chain.n, chain.steps, chain.dt, chain.late
    model = pinocchio.Model()
    model.gravity.linear = np.array([0, 0, -9.81])
    parent = 0
    for i in range(n):
        place = pinocchio.SE3(np.eye(3), np.array([0, 0, float(i > 0)]))
        parent = model.addJoint(parent, pinocchio.JointModelRY(), place, f"joint{i + 1}")
        model.appendBodyToJoint(parent, pinocchio.Inertia(1.0, np.array([0, 0, 0.5]), INERTIA * np.eye(3)), pinocchio.SE3.Identity())
    state = crocoddyl.StateMultibody(model)
    actuation = crocoddyl.ActuationModelFull(state)
    weights = crocoddyl.ActivationModelWeightedQuad(np.array([ANGLE] * n + [SPEED] * n))

    def action_model(late, dt):
        # Crocoddyl's cost is half of the squares, and of time: scaled to that of a step. A terminal model has no time.
        costs, scale = crocoddyl.CostModelSum(state), 2 / (dt or 1.0)
        if dt:
            costs.addCost("torque", crocoddyl.CostModelResidual(state, crocoddyl.ResidualModelControl(state)), TORQUE * scale)
        if late:
            costs.addCost("state", crocoddyl.CostModelResidual(state, weights, crocoddyl.ResidualModelState(state, np.zeros(2 * n))), scale)
        free = crocoddyl.DifferentialActionModelFreeFwdDynamics(state, actuation, costs)
        if not dt:
            return crocoddyl.IntegratedActionModelEuler(free, 0.0)
        step = crocoddyl.IntegratedActionModelRK(free, crocoddyl.RKType.four, dt)
        step.u_lb, step.u_ub = -LIMIT * np.ones(n), LIMIT * np.ones(n)
        return step

    early, late, end = action_model(False, dt), action_model(True, dt), action_model(True, 0.0)
    return crocoddyl.ShootingProblem(chain.hanging(), [late if t > T - last else early for t in range(T)], end)


class Trace(crocoddyl.CallbackAbstract):
    """Cost and processor time after each iteration."""

    def __init__(self):
        crocoddyl.CallbackAbstract.__init__(self)
        self.costs, self.seconds, self.begin = [], [], time.process_time()

    def __call__(self, solver):
        self.costs.append(solver.cost)
        self.seconds.append(time.process_time() - self.begin)


def check_dynamics(chain):
    """One step of both programs from random states. Raises unless they agree to 1e-9 and both feel gravity."""
    n, problem, random = chain.n, crocoddyl_problem(chain), np.random.default_rng(0)
    for _ in range(20):
        x, u = random.normal(size=2 * n), random.normal(size=n) * 10
        data = problem.runningDatas[0]
        problem.runningModels[0].calc(data, x, u)
        difference = np.abs(data.xnext - chain.step(x, u)).max()
        if not difference < 1e-9:
            raise SystemExit(f"{n} links: a step of Crocoddyl is {difference:.3g} from MuJoCo's; pin 4.0.0 is right, a later one is not")


def by_crocoddyl(chain, actions, iterations):
    solver = crocoddyl.SolverBoxFDDP(crocoddyl_problem(chain))
    solver.th_stop = 1e-9
    trace = Trace()
    solver.setCallbacks([trace])
    xs = list(chain.states(actions))
    converged = solver.solve(xs, list(actions), iterations, True, 1e-9)  # the first trajectory is feasible
    first, seconds = to_1_percent(trace.costs, trace.seconds)
    return bool(converged), solver.iter, chain.cost(np.array(solver.us.tolist())), trace.seconds[-1], first, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kedge", default="kedge")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--links", type=int, nargs="+", default=[4, 7])
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--programs", nargs="+", default=["kedge", "crocoddyl"])
    parser.add_argument("--set", action="append", default=[], help="option of kedge's ilqr; give it a --work and an --out of its own")
    a = parser.parse_args()
    lines = Lines(a.out)
    for n in a.links:
        chain = Chain(n)
        check_dynamics(chain)
        for start in range(a.starts):
            actions = chain.first_actions(start)
            for program in a.programs:
                if (program, n, start) in lines.done:
                    continue
                if program == "kedge":
                    result = by_kedge(a.kedge, a.work / f"chain{n}-s{start}", chain, actions, a.iterations, a.set)
                else:
                    result = by_crocoddyl(chain, actions, a.iterations)
                lines.add(program, n, start, result)


if __name__ == "__main__":
    main()
