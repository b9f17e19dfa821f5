"""kedge's iLQR beside the iLQG of MuJoCo MPC (MJPC): swing-ups of chains of n links, from the same first actions. Run by hand.

    git clone https://github.com/google-deepmind/mujoco_mpc && git -C mujoco_mpc checkout ff572a21e7c2
    python3 -m venv venv && venv/bin/pip install mujoco==3.14.0 h5py    # the version that `kedge --version` names
    venv/bin/python bench/peers/mjpc_ilqg.py --mjpc mujoco_mpc --kedge kedge --work runs/mjpc --out mjpc.csv

and a compiler: the planner's sources of MJPC are compiled beside mjpc_ilqg.cpp, without its window, with the headers and the
library of the Python package (--mujoco names another release). Abseil is not needed: of it these sources use hash tables,
text and random numbers, in the planner's loop only a generator that draws nothing, and a header of a few lines stands in for
each. Another gives back two functions that MuJoCo has changed since that commit (an error, a ray), which the planner does not
call.

The chains of chains.py, in 400 steps of Euler's method: MJPC's derivatives are mjd_transitionFD's, which has no RK4, a step of
its planner is one of the model, and a trajectory has at most 512 states. The model files differ by MJPC's residuals, user
sensors, which kedge refuses. Of each start and program one line of --out, as ilqr_chains.py makes them; --parts adds where
MJPC's processor time goes. What is there is not run again. Before anything is measured, both must find the cost of the first
actions that MuJoCo finds here, to 1e-9 of it, so that they simulate alike; of MJPC's last actions and of kedge's last policy
the same is asked to 1e-6.

A program is named with what is set: "kedge damp_states=true" has an option of ilqr's, and "mjpc regularization=1" one of these
(the default first): rollouts=10 of a line search; regularization=0 of the control, 1 of the next state, 2 of the value; scale=1,
a factor on the mean cost, against which its regularisation stands; centred=0 or 1, differences; whole=1, or 0: times
iLQGPlanner::Iteration instead of OptimizePolicy, which before it tries other shares of the feedback along the trajectory.

MJPC plans for ever: here it ends, and counts as converged, where 20 iterations together lower the cost by no more than 1e-7
of it. Its time has no start of the program in it; kedge's has, 0.02 s.
"""

import argparse
import csv
import pathlib
import subprocess

import h5py
import mujoco
import numpy as np

from chains import LIMIT, Chain, Lines, by_kedge, kedge_trains, to_1_percent

STEPS, WINDOW, TOLERANCE = 400, 20, 1e-7
SOURCES = ["norm", "task", "threadpool", "trajectory", "utilities", "states/state", "planners/planner",
           "planners/cost_derivatives", "planners/model_derivatives", "planners/ilqg/backward_pass", "planners/ilqg/planner",
           "planners/ilqg/policy"]
STANDINS = {
    "base/attributes.h": "#define ABSL_CONST_INIT",
    "log/check.h": "",
    "container/flat_hash_map.h": "#include <unordered_map>\n"
        "namespace absl { template <class K, class V> using flat_hash_map = std::unordered_map<K, V>; }",
    "random/random.h": "#include <random>\nnamespace absl { using BitGen = std::mt19937_64; }",
    "random/distributions.h": "#include <random>\nnamespace absl { template <class T, class G> T Gaussian(G& g, T mean, T deviation)"
        " { return std::normal_distribution<T>(mean, deviation)(g); } }",
    "strings/match.h": "#include <string_view>\nnamespace absl { inline bool StartsWith(std::string_view text, std::string_view with)"
        " { return text.substr(0, with.size()) == with; } }",
    "strings/str_cat.h": "#include <string>\n#include <string_view>\nnamespace absl { template <class... T> std::string StrCat(const T&... parts)"
        " { std::string all; ((all += std::string_view(parts)), ...); return all; } }",
    "strings/str_split.h": "#include <string>\n#include <string_view>\n#include <vector>\nnamespace absl {\n"
        "inline std::vector<std::string> StrSplit(std::string_view text, char at) {\n  std::vector<std::string> parts(1);\n"
        "  for (char c : text) { if (c == at) parts.emplace_back(); else parts.back() += c; }\n  return parts;\n}\n"
        "inline std::string StripPrefix(std::string_view text, std::string_view prefix)"
        " { return std::string(text.substr(text.substr(0, prefix.size()) == prefix ? prefix.size() : 0)); }\n}",
    "of_old.h": "#include <mujoco/mujoco.h>\ntemplate <class T> void mju_error_s(const char* text, const T* value) { mju_error(text, value); }\n"
        "template <class M> mjtNum mj_ray(const M* m, const mjData* d, const mjtNum* from, const mjtNum* along, const mjtByte* groups, int still,"
        " int without, int* geom)\n{ return mj_ray(m, d, from, along, groups, still, without, geom, nullptr); }",
}


def compiled(a):
    """Returns the driver, compiled unless that was done before."""
    program = a.work / "mjpc_ilqg"
    if program.exists():
        return program
    for name, text in STANDINS.items():
        path = a.work / "absl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#pragma once\n" + text + "\n")
    library = next(path for folder in (a.mujoco, a.mujoco / "lib") for path in sorted(folder.glob("libmujoco.*")))
    sources = [a.mjpc / "mjpc" / f"{name}.cc" for name in SOURCES]
    subprocess.run([a.compiler, "-std=c++20", *a.flags.split(), f"-I{a.mjpc}", f"-I{a.mujoco / 'include'}", f"-I{a.work}",
                    "-include", "absl/of_old.h", pathlib.Path(__file__).with_suffix(".cpp"), *sources, library.resolve(), f"-Wl,-rpath,{library.resolve().parent}",
                    "-lpthread", "-o", program], check=True)
    return program


def settings(program):
    """Of MJPC, from the program's name."""
    values = {"rollouts": 10, "regularization": 0, "scale": 1.0, "centred": 0, "whole": 1}
    for pair in program.split()[1:]:
        key, value = pair.split("=")
        values[key] = type(values[key])(value)
    return values


def model_for_mjpc(chain, s):
    """The chain's model with MJPC's residuals, as user sensors. MJPC halves squares and takes the mean over the states."""
    sensors, custom = "", ""
    for name, weight in (("torque", chain.torque), ("angle", chain.angle), ("speed", chain.speed)):
        doubled = 2 * weight * s["scale"]
        sensors += f'<user name="{name}" dim="{chain.n}" user="0 {doubled!r} 0 0"/>'
    numbers = {"residual_late": (STEPS - chain.late + 0.5) * chain.dt, "residual_end": (STEPS - 0.5) * chain.dt,
               "ilqg_num_rollouts": s["rollouts"], "ilqg_regularization_type": s["regularization"], "ilqg_representation": 0}
    for name, value in numbers.items():
        custom += f'<numeric name="{name}" data="{value!r}"/>'
    hanging = " ".join(map(repr, chain.hanging()[: chain.n].tolist()))
    return chain.mjcf().replace("</mujoco>", f"""<sensor>{sensors}</sensor><custom>{custom}</custom><size nuser_sensor="4"/>
    <keyframe><key qpos="{hanging}"/></keyframe></mujoco>""")


def mjpc_plans(a, s, folder, chain, actions, iterations):
    """Returns costs after 0, 1, ... iterations, processor times, last regularisation, last actions, times of its parts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mjpc.xml").write_text(model_for_mjpc(chain, s))
    command = [compiled(a), folder / "mjpc.xml", STEPS, iterations, WINDOW, TOLERANCE, s["centred"], s["whole"]]
    said = subprocess.run([str(x) for x in command], check=True, capture_output=True, text=True,
                          input="\n".join(map(repr, np.ravel(actions).tolist()))).stdout
    trace, rest = said.split("actions\n")
    rest, parts = rest.split("parts\n")
    trace = np.array([line.split() for line in trace.splitlines()], dtype=float)
    costs = trace[:, 0] * (STEPS + 1) / s["scale"]
    return costs, trace[:, 1], trace[-1, 2], np.array(rest.split(), dtype=float).reshape(STEPS, chain.n), [float(x) for x in parts.split()]


def near(what, value, wanted, tolerance):
    if not abs(value - wanted) <= tolerance * abs(wanted):
        raise SystemExit(f"{what}: {value!r} is not {wanted!r}")


def cost_of_policy(chain, file):
    """Of kedge's last policy, a = Kx + k, in MuJoCo."""
    with h5py.File(file) as policy:
        K, k = policy["K"][:], policy["k"][:]
    x, actions = chain.hanging(), []
    for t in range(chain.steps):
        actions.append(np.clip(K[t] @ x + k[t], -LIMIT, LIMIT))
        x = chain.step(x, actions[-1])
    return chain.cost(np.array(actions))


def check(a, chain):
    """What both programs make of the first actions of start 0. kedge has to take one step to say something."""
    folder, actions = a.work / f"check{chain.n}", chain.first_actions(0)
    for program in (x for x in a.programs if x.startswith("mjpc")):
        costs, _, _, same, _ = mjpc_plans(a, settings(program), folder, chain, actions, 0)
        near("MJPC's cost of the first actions", costs[0], chain.cost(actions), 1e-9)
        near("MJPC's first actions, squared", np.sum(same**2), np.sum(actions**2), 1e-12)
    costs, _, _ = kedge_trains(a.kedge, folder / "kedge", chain, actions, 1, [])
    near("kedge's cost after an iteration", costs[-1], cost_of_policy(chain, folder / "kedge" / "run" / "policy.h5"), 1e-6)
    with open(folder / "kedge" / "run" / "metrics.csv", newline="") as file:
        near("kedge's cost of the first actions", costs[0] + float(next(csv.DictReader(file))["improvement_realised"]), chain.cost(actions), 1e-9)


def by_mjpc(a, program, folder, chain, start, actions):
    costs, seconds, regularisation, last, parts = mjpc_plans(a, settings(program), folder, chain, actions, a.iterations)
    cost, iterations = chain.cost(last), len(costs) - 1
    near("MJPC's cost of its last actions", costs[-1], cost, 1e-6)
    converged = iterations >= WINDOW and costs[-1 - WINDOW] - costs[-1] <= TOLERANCE * costs[-1]
    if a.parts:
        if not a.parts.exists():
            a.parts.write_text("program,links,start,iteration,dynamics,cost,backward,regularization\n")
        with open(a.parts, "a", newline="") as file:
            values = [seconds[-1] / iterations, *parts, regularisation]
            csv.writer(file).writerow([program, chain.n, start, *(f"{x:.4g}" for x in values)])
    first, part = to_1_percent(costs, seconds)
    return converged, iterations, cost, seconds[-1], first, part


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mjpc", type=pathlib.Path, required=True, help="a checkout of mujoco_mpc")
    parser.add_argument("--mujoco", type=pathlib.Path, default=pathlib.Path(mujoco.__file__).parent, help="folder of include/mujoco and the library")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--flags", default="-O3 -DNDEBUG -march=x86-64-v3 -flto", help="its release build has the first two and the last")
    parser.add_argument("--kedge", default="kedge")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--parts", type=pathlib.Path, help="a file for the seconds of MJPC's iterations, derivatives and backward passes")
    parser.add_argument("--links", type=int, nargs="+", default=[2, 4, 7])
    parser.add_argument("--starts", type=int, default=20, help="of two links at most five")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--programs", nargs="+", default=["kedge", "kedge damp_states=true", "mjpc", "mjpc regularization=1 whole=0"])
    a = parser.parse_args()
    a.work = a.work.resolve()
    a.work.mkdir(parents=True, exist_ok=True)
    lines = Lines(a.out)
    for n in a.links:
        chain = Chain(n, STEPS, "Euler", f' ctrllimited="true" ctrlrange="{-LIMIT} {LIMIT}"')
        check(a, chain)
        for start in range(a.starts if n > 2 else min(a.starts, 5)):
            actions = chain.first_actions(start)
            for program in a.programs:
                if (program, n, start) in lines.done:
                    continue
                folder = a.work / f"{program.replace(' ', '-')}-{n}-s{start}"
                if program.startswith("mjpc"):
                    result = by_mjpc(a, program, folder, chain, start, actions)
                else:
                    result = by_kedge(a.kedge, folder, chain, actions, a.iterations, program.split()[1:])
                    near("kedge's cost of its last policy", result[2], cost_of_policy(chain, folder / "run" / "policy.h5"), 1e-6)
                lines.add(program, n, start, result)


if __name__ == "__main__":
    main()
