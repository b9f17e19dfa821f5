"""What the comparisons of iLQR share: chains of n links, their swing-up, its cost by the definition, and kedge's runs of it.

Links of 1 kg and 1 m, motors of at most 25 N m, 5 s. Start s has normal noise of 7.5 N m on the torques, of NumPy's
default_rng(s), which change every 0.025 s. Costs are those of an integral: a smaller step counts less.
"""

import csv
import pathlib
import resource
import subprocess

import h5py
import mujoco
import numpy as np

LIMIT, NOISE, SECONDS, HELD = 25.0, 7.5, 5.0, 0.025
TORQUE, ANGLE, SPEED = 0.1, 1e4, 1.0  # weights of the squares, each 0.025 s; angles and speeds count in the last fifth
COLUMNS = ["program", "links", "start", "converged", "iterations", "cost", "seconds", "iterations_to_1_percent",
           "seconds_to_1_percent"]
INERTIA = 1 / 3 + 1e-4 / 3


class Chain:
    """The model, the task file, MuJoCo's step, and the cost of actions by it."""

    def __init__(self, n, steps=200, integrator="RK4", motor=""):
        """@param motor attributes of each motor"""
        self.n, self.steps, self.late, self.dt = n, steps, steps // 5, SECONDS / steps
        self.torque, self.angle, self.speed = (w * (self.dt / HELD) for w in (TORQUE, ANGLE, SPEED))
        self.integrator, self.motor = integrator, motor
        self.model = mujoco.MjModel.from_xml_string(self.mjcf())
        self.data = mujoco.MjData(self.model)

    def mjcf(self):
        body = ""
        for i in reversed(range(self.n)):
            body = f"""<body pos="0 0 {int(i > 0)}"><joint name="joint{i + 1}" type="hinge" axis="0 1 0"/>
        <inertial pos="0 0 0.5" mass="1" diaginertia="{INERTIA} {INERTIA} {INERTIA}"/>
        <geom type="capsule" fromto="0 0 0 0 0 1" size="0.05" contype="0" conaffinity="0"/>{body}</body>"""
        motors = "".join(f'<motor name="joint{i + 1}" joint="joint{i + 1}"{self.motor}/>' for i in range(self.n))
        return f"""<mujoco><compiler inertiafromgeom="false"/><option integrator="{self.integrator}" timestep="{self.dt}" gravity="0 0 -9.81">
    <flag contact="disable" constraint="disable"/></option><worldbody>{body}</worldbody><actuator>{motors}</actuator></mujoco>"""

    def task_file(self, demonstration):
        return f"""kedge = 1
name = "chain{self.n}"
summary = "swing a chain of {self.n} links up"
model = "chain{self.n}.xml"
horizon = {self.steps}
control_step = {self.dt}
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
weight = {self.torque}
[[cost]]
name = "angle"
of = "qpos"
weight = {self.angle}
steps = ["last {self.late - 1}", "final"]
[[cost]]
name = "speed"
of = "qvel"
weight = {self.speed}
steps = ["last {self.late - 1}", "final"]
"""

    def hanging(self):
        return np.array([np.pi] + [0.0] * (2 * self.n - 1))

    def first_actions(self, start):
        changes = round(SECONDS / HELD)
        actions = np.random.default_rng(start).normal(scale=NOISE, size=(changes, self.n)).clip(-LIMIT, LIMIT)
        return np.repeat(actions, self.steps // changes, axis=0)

    def step(self, x, u):
        d = self.data
        d.qpos[:], d.qvel[:], d.ctrl[:] = x[: self.n], x[self.n:], u
        mujoco.mj_step(self.model, d)
        return np.concatenate([d.qpos, d.qvel])

    def states(self, actions):
        xs = [self.hanging()]
        for u in actions:
            xs.append(self.step(xs[-1], np.clip(u, -LIMIT, LIMIT)))
        return np.array(xs)

    def cost(self, actions):
        late = self.states(actions)[-self.late:]
        return self.torque * np.sum(actions**2) + self.angle * np.sum(late[:, : self.n]**2) + self.speed * np.sum(late[:, self.n:]**2)


def to_1_percent(costs, seconds):
    first = next(i for i, cost in enumerate(costs) if cost <= 1.01 * costs[-1])
    return first, seconds[first]


def kedge_trains(kedge, folder, chain, actions, iterations, options):
    """Returns costs after each iteration, whether kedge says that it converged, and its processor time. The run is folder/run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"chain{chain.n}.xml").write_text(chain.mjcf())
    (folder / "task.toml").write_text(chain.task_file("start.h5"))
    with h5py.File(folder / "start.h5", "w") as file:
        file["state"], file["action"] = chain.states(actions), actions
    command = [kedge, "train", folder, "--algorithm", "ilqr", "--threads", "1", "--force", "--out", folder / "run"]
    for option in ["starts=1", f"iterations={iterations}", *options]:
        command += ["--set", option]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(folder / "run" / "metrics.csv", newline="") as file:
        costs = [-float(line["return_mean"]) for line in csv.DictReader(file)]
    return costs, "converged: " in said.stdout + said.stderr, seconds


def by_kedge(kedge, folder, chain, actions, iterations, options):
    """Returns what follows the start in a line of COLUMNS. kedge's time has the start of the program in it, 0.02 s."""
    costs, converged, seconds = kedge_trains(kedge, folder, chain, actions, iterations, options)
    first, part = to_1_percent(costs, [seconds * (i + 1) / len(costs) for i in range(len(costs))])
    return converged, len(costs), costs[-1], seconds, first + 1, part


class Lines:
    """A file of lines of COLUMNS that is added to. What is there is not run again."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        if not path.exists():
            path.write_text(",".join(COLUMNS) + "\n")
        with open(path, newline="") as file:
            self.done = {(line["program"], int(line["links"]), int(line["start"])) for line in csv.DictReader(file)}

    def add(self, program, links, start, result):
        converged, iterations, cost, seconds, first, part = result
        line = [program, links, start, int(converged), iterations, f"{cost:.6g}", f"{seconds:.3g}", first, f"{part:.3g}"]
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(line)
        print(*line, flush=True)
