"""kedge's iLQR beside Crocoddyl's BoxFDDP: swing-ups of chains of n links, from the same first actions. Run by hand.

    python3 -m venv venv && venv/bin/pip install crocoddyl==3.2.1 pin==4.0.0 mujoco h5py   # a later pin loses gravity here
    venv/bin/python bench/peers/ilqr_chains.py --kedge kedge --work runs/chains --out chains.csv

Links of 1 kg and 1 m, motors of at most 25 N m, 5 s in 200 steps of RK4 that both programs make alike (checked before work
begins). Start s of 20 has normal noise of 7.5 N m on every action, of NumPy's default_rng(s). Of each start and program one
line of --out: its own word whether it converged, iterations, the cost of its actions in MuJoCo by the definition below, the
processor time, and how much of both it took to come within 1 % of its own end. What is there is not run again. Crocoddyl
averages the costs of a step over the stages of RK4, so that its optimum is of a slightly different cost; kedge's is the
definition's. kedge's time has the start of the program in it, 0.02 s.
"""

import argparse
import csv
import pathlib
import resource
import subprocess
import time

import crocoddyl
import h5py
import mujoco
import numpy as np
import pinocchio

T, DT, LIMIT, NOISE, LAST = 200, 0.025, 25.0, 7.5, 40
TORQUE, ANGLE, SPEED = 0.1, 1e4, 1.0  # weights of the squares; angles and speeds count in the last 40 states
COLUMNS = ["program", "links", "start", "converged", "iterations", "cost", "seconds", "iterations_to_1_percent",
           "seconds_to_1_percent"]
INERTIA = 1 / 3 + 1e-4 / 3


def mjcf(n):
    body = ""
    for i in reversed(range(n)):
        body = f"""<body pos="0 0 {int(i > 0)}"><joint name="joint{i + 1}" type="hinge" axis="0 1 0"/>
        <inertial pos="0 0 0.5" mass="1" diaginertia="{INERTIA} {INERTIA} {INERTIA}"/>
        <geom type="capsule" fromto="0 0 0 0 0 1" size="0.05" contype="0" conaffinity="0"/>{body}</body>"""
    motors = "".join(f'<motor name="joint{i + 1}" joint="joint{i + 1}"/>' for i in range(n))
    return f"""<mujoco><compiler inertiafromgeom="false"/><option integrator="RK4" timestep="{DT}" gravity="0 0 -9.81">
    <flag contact="disable" constraint="disable"/></option><worldbody>{body}</worldbody><actuator>{motors}</actuator></mujoco>"""


def task_file(n, demonstration):
    return f"""kedge = 1
name = "chain{n}"
summary = "swing a chain of {n} links up"
model = "chain{n}.xml"
horizon = {T}
control_step = {DT}
[actions]
limit = {LIMIT}
[start]
distribution = "gaussian"
qpos = {{ joint1 = {np.pi!r} }}
[demonstration]
file = "{demonstration}"
[[cost]]
name = "torque"
of = "action"
weight = {TORQUE}
[[cost]]
name = "angle"
of = "qpos"
weight = {ANGLE}
steps = "last {LAST}"
[[cost]]
name = "speed"
of = "qvel"
weight = {SPEED}
steps = "last {LAST}"
"""


def hanging(n):
    return np.array([np.pi] + [0.0] * (2 * n - 1))


class Simulation:
    """MuJoCo's step, and the cost of actions by it."""

    def __init__(self, n):
        self.n, self.model = n, mujoco.MjModel.from_xml_string(mjcf(n))
        self.data = mujoco.MjData(self.model)

    def step(self, x, u):
        d = self.data
        d.qpos[:], d.qvel[:], d.ctrl[:] = x[: self.n], x[self.n:], u
        mujoco.mj_step(self.model, d)
        return np.concatenate([d.qpos, d.qvel])

    def states(self, actions):
        xs = [hanging(self.n)]
        for u in actions:
            xs.append(self.step(xs[-1], np.clip(u, -LIMIT, LIMIT)))
        return np.array(xs)

    def cost(self, actions):
        late = self.states(actions)[-LAST:]
        return TORQUE * np.sum(actions**2) + ANGLE * np.sum(late[:, : self.n]**2) + SPEED * np.sum(late[:, self.n:]**2)


def crocoddyl_problem(n):
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

    early, late, last = action_model(False, DT), action_model(True, DT), action_model(True, 0.0)
    return crocoddyl.ShootingProblem(hanging(n), [late if t > T - LAST else early for t in range(T)], last)


class Trace(crocoddyl.CallbackAbstract):
    """Cost and processor time after each iteration."""

    def __init__(self):
        crocoddyl.CallbackAbstract.__init__(self)
        self.costs, self.seconds, self.begin = [], [], time.process_time()

    def __call__(self, solver):
        self.costs.append(solver.cost)
        self.seconds.append(time.process_time() - self.begin)


def check_dynamics(n):
    """One step of both programs from random states. Raises unless they agree to 1e-9 and both feel gravity."""
    problem, simulation, random = crocoddyl_problem(n), Simulation(n), np.random.default_rng(0)
    for _ in range(20):
        x, u = random.normal(size=2 * n), random.normal(size=n) * 10
        data = problem.runningDatas[0]
        problem.runningModels[0].calc(data, x, u)
        difference = np.abs(data.xnext - simulation.step(x, u)).max()
        if not difference < 1e-9:
            raise SystemExit(f"{n} links: a step of Crocoddyl is {difference:.3g} from MuJoCo's; pin 4.0.0 is right, a later one is not")


def to_1_percent(costs, seconds):
    first = next(i for i, cost in enumerate(costs) if cost <= 1.01 * costs[-1])
    return first, seconds[first]


def by_crocoddyl(a, n, actions):
    solver = crocoddyl.SolverBoxFDDP(crocoddyl_problem(n))
    solver.th_stop = 1e-9
    trace = Trace()
    solver.setCallbacks([trace])
    xs = list(Simulation(n).states(actions))
    converged = solver.solve(xs, list(actions), a.iterations, True, 1e-9)  # the first trajectory is feasible
    first, seconds = to_1_percent(trace.costs, trace.seconds)
    return bool(converged), solver.iter, Simulation(n).cost(np.array(solver.us.tolist())), trace.seconds[-1], first, seconds


def by_kedge(a, n, start, actions):
    folder, run = a.work / f"chain{n}-s{start}", a.work / f"chain{n}-s{start}" / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"chain{n}.xml").write_text(mjcf(n))
    (folder / "task.toml").write_text(task_file(n, "start.h5"))
    with h5py.File(folder / "start.h5", "w") as file:
        file["state"], file["action"] = Simulation(n).states(actions), actions
    command = [a.kedge, "train", folder, "--algorithm", "ilqr", "--threads", "1", "--out", run]
    for option in ["starts=1", f"iterations={a.iterations}", *a.set]:
        command += ["--set", option]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(run / "metrics.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    costs = [-float(line["return_mean"]) for line in lines]
    first, part = to_1_percent(costs, [seconds * (i + 1) / len(costs) for i in range(len(costs))])
    return "converged: " in said.stdout + said.stderr, len(costs), costs[-1], seconds, first + 1, part


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
    if not a.out.exists():
        a.out.write_text(",".join(COLUMNS) + "\n")
    with open(a.out, newline="") as file:
        done = {(line["program"], int(line["links"]), int(line["start"])) for line in csv.DictReader(file)}
    for n in a.links:
        check_dynamics(n)
        for start in range(a.starts):
            actions = np.random.default_rng(start).normal(scale=NOISE, size=(T, n)).clip(-LIMIT, LIMIT)
            for program in a.programs:
                if (program, n, start) in done:
                    continue
                line = by_kedge(a, n, start, actions) if program == "kedge" else by_crocoddyl(a, n, actions)
                converged, iterations, cost, seconds, first, part = line
                line = [program, n, start, int(converged), iterations, f"{cost:.6g}", f"{seconds:.3g}", first, f"{part:.3g}"]
                with open(a.out, "a", newline="") as file:
                    csv.writer(file).writerow(line)
                print(*line, flush=True)


if __name__ == "__main__":
    main()
