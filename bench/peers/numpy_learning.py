"""What MOTO's evaluation takes in plain NumPy, beside kedge: importance weights of all stored samples, and the regressions of
Q and V backwards in time [Akrour2018, Sec. 4.1.2, 4.2.2], on the double link with its own options.

    python3 -m venv venv && venv/bin/pip install numpy h5py mujoco
    OPENBLAS_NUM_THREADS=1 venv/bin/python bench/peers/numpy_learning.py --kedge kedge --work runs/numpy

kedge trains and keeps the policy of every iteration. NumPy rolls these policies out (mujoco.rollout's place is taken by the
closed form of the model: rollouts are not measured), and evaluates each as kedge did: M = 20 rollouts of 100 steps, the last 5
iterations, densities kept from iteration to iteration, the heaviest samples that hold all but 1e-3 of the weight. Printed:
milliseconds, the median of the iterations in which the window is full (NumPy's of processor time, kedge's of wall time: leave
the machine alone), and the median effective sample size of both, which differs as their rollouts do.
"""

import argparse
import csv
import pathlib
import subprocess
import time

import h5py
import numpy as np

T, M, WINDOW, GAMMA, RIDGE, CUTOFF, LIMIT = 100, 20, 5, 0.4, 1e-3, 1e-3, 25.0


def acceleration(x, u):
    """Of two rods of 1 kg and 1 m, tasks/double_link/double_link.xml. x: [N, 4], joint angles from upright, speeds; u: [N, 2]"""
    q2, v1, v2 = x[:, 1], x[:, 2], x[:, 3]
    inertia, half = 1 / 3 + 1e-4 / 3, 0.5
    c, s = np.cos(q2), np.sin(q2)
    m22 = np.full_like(c, inertia)
    m12 = inertia + half * c
    m11 = inertia + inertia + 1 + 2 * half * c
    g = 9.81
    b2 = u[:, 1] - 0.025 * v2 - half * s * v1**2 + g * half * np.sin(x[:, 0] + q2)
    b1 = u[:, 0] - 0.025 * v1 + half * s * v2 * (2 * v1 + v2) + g * (1.5 * np.sin(x[:, 0]) + half * np.sin(x[:, 0] + q2))
    det = m11 * m22 - m12**2
    return np.stack([(m22 * b1 - m12 * b2) / det, (m11 * b2 - m12 * b1) / det], axis=1)


def step(x, u, h=0.025):
    u = np.clip(u, -LIMIT, LIMIT)
    f = lambda x: np.concatenate([x[:, 2:], acceleration(x, u)], axis=1)
    for _ in range(2):
        k1 = f(x)
        k2 = f(x + h / 2 * k1)
        k3 = f(x + h / 2 * k2)
        k4 = f(x + h * k3)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


def rollouts(policy, random):
    """States [T + 1, M, 4], actions [T, M, 2], costs [T, M]; the last step's has that of the final state."""
    K, k, Sigma = policy
    x = np.zeros((T + 1, M, 4))
    x[0] = [np.pi, 0, 0, 0] + 0.01 * random.normal(size=(M, 4))
    a, cost = np.zeros((T, M, 2)), np.zeros((T, M))
    for t in range(T):
        a[t] = x[t] @ K[t].T + k[t] + random.normal(size=(M, 2)) @ np.linalg.cholesky(Sigma[t]).T
        x[t + 1] = step(x[t], a[t])
        cost[t] = np.sum(a[t]**2, axis=1)
    late = 1e4 * np.sum(x[..., :2]**2, axis=2) + np.sum(x[..., 2:]**2, axis=2)
    cost[T - 19:] += late[T - 19:T]
    cost[T - 1] += late[T]
    return x, a, cost


def state_distribution(window):
    """rho_t of the newest: means [T, 4], covariances [T, 4, 4]; iterations of age j count gamma^j."""
    weight = np.concatenate([np.full(M, GAMMA**(len(window) - 1 - j)) for j in range(len(window))])
    weight /= weight.sum()
    states = np.concatenate([x[:T] for x, _, _ in window], axis=1)
    mean = np.einsum("n,tnd->td", weight, states)
    centred = states - mean[:, None]
    return mean, np.einsum("n,tnd,tne->tde", weight, centred, centred)


def joint_density(rho, policy):
    """z_t(s, a): means [T, 6], whitening matrices [T, 6, 6], log of their determinants [T]."""
    (m, S), (K, k, Sigma) = rho, policy
    mean = np.concatenate([m, np.einsum("tad,td->ta", K, m) + k], axis=1)
    KS = K @ S
    cov = np.block([[S, KS.transpose(0, 2, 1)], [KS, KS @ K.transpose(0, 2, 1) + Sigma]])
    L = np.linalg.cholesky(cov)
    return mean, np.linalg.inv(L), np.log(np.einsum("tii->ti", L)).sum(axis=1)


def log_densities(z, density):
    """[T, N] of all samples z [N, 6] under every step's density."""
    mean, W, log_det = density
    out = np.empty((T, len(z)))
    for t in range(T):
        out[t] = -0.5 * np.sum(((z - mean[t]) @ W[t].T)**2, axis=1) - log_det[t]
    return out


def log_sum_exp(a, axis):
    top = a.max(axis=axis, keepdims=True)
    return (top + np.log(np.exp(a - top).sum(axis=axis, keepdims=True))).squeeze(axis)


class Weights:
    """log z_t'^j of all stored samples, kept from iteration to iteration."""

    def __init__(self):
        self.samples, self.densities, self.log_mixture = [], [], []  # [epoch of samples][epoch of densities][N]

    def push(self, z, density):
        for known, mixtures in zip(self.samples, self.log_mixture):
            mixtures.append(log_sum_exp(log_densities(known, density), 0))
        self.samples.append(z)
        self.densities.append(density)
        newest = [log_densities(z, d) for d in self.densities]
        self.log_mixture.append([log_sum_exp(n, 0) for n in newest])
        if len(self.samples) > WINDOW:
            self.samples.pop(0), self.densities.pop(0), self.log_mixture.pop(0)
            for mixtures in self.log_mixture:
                mixtures.pop(0)

    def of_steps(self):
        """log w [T, N] of all stored samples at every step of the newest iteration."""
        z = np.concatenate(self.samples)
        mixture = log_sum_exp(np.concatenate([np.stack(m) for m in self.log_mixture], axis=1), 0)
        return log_densities(z, self.densities[-1]) - mixture


def select(log_weight):
    """The heaviest samples that hold all but the cutoff, their weights, and the effective sample size."""
    w = np.exp(log_weight - log_weight.max())
    w /= w.sum()
    order = np.argsort(-w)
    count = np.searchsorted(np.cumsum(w[order]), 1 - CUTOFF) + 1
    rows = np.sort(order[:count])
    return rows, w[rows] / w[rows].sum(), 1 / np.sum(w**2)


def quadratic_features(z):
    n = z.shape[1]
    i, j = np.tril_indices(n)
    return np.concatenate([np.ones((len(z), 1)), z, z[:, i] * z[:, j]], axis=1)


def ridge_fit(features, weight, target):
    gram = (features * weight[:, None]).T @ features
    gram[np.diag_indices_from(gram)] += RIDGE * (np.arange(len(gram)) > 0)
    return np.linalg.solve(gram, features.T @ (weight * target))


def fit_backwards(weights, window):
    """Q~_t and V~_t from the last step to the first. Returns the median effective sample size."""
    log_weight = weights.of_steps()
    z = np.concatenate(weights.samples)
    nexts = np.concatenate([x[1:].reshape(-1, 4) for x, _, _ in window])
    cost = np.concatenate([c.reshape(-1) for _, _, c in window])
    step_of = np.tile(np.repeat(np.arange(T), M), len(window))
    torque = np.sum(z[:, 4:]**2, axis=1)
    late = 1e4 * np.sum(z[:, :2]**2, axis=1) + np.sum(z[:, 2:4]**2, axis=1)
    at_end = 1e4 * np.sum(nexts[:, :2]**2, axis=1) + np.sum(nexts[:, 2:]**2, axis=1)
    assert np.allclose(cost, torque + np.where(step_of > T - 20, late, 0) + np.where(step_of == T - 1, at_end, 0))
    mean, W, _ = weights.densities[-1]
    effective, v = [], None
    for t in reversed(range(T)):
        rows, weight, size = select(log_weight[t])
        effective.append(size)
        target = -torque[rows]
        if t > T - 20:
            target = target - late[rows]
        if t == T - 1:
            target = target - at_end[rows]
        if v is not None:
            target = target + quadratic_features((nexts[rows] - mean[t + 1, :4]) @ W[t + 1, :4, :4].T) @ v
        white = (z[rows] - mean[t]) @ W[t].T
        ridge_fit(quadratic_features(white), weight, target)
        v = ridge_fit(quadratic_features(white[:, :4]), weight, target)
    return np.median(effective)


def numbers(path, columns):
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    return np.array([[float(line[c]) for c in columns] for line in lines])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kedge", default="kedge")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--iterations", type=int, default=15, help="at most 15: of longer runs not every policy is kept")
    a = parser.parse_args()
    run = a.work / "run"
    subprocess.run([a.kedge, "train", "double_link", "--seed", "1", "--threads", "1", "--quiet", "--out", run, "--set",
                    f"iterations={a.iterations}"], check=True, stdout=subprocess.DEVNULL)
    theirs = 1e3 * numbers(run / "timings.csv", ["importance_weights", "regressions"]).sum(axis=1)
    their_size = numbers(run / "metrics.csv", ["ess_median"])[:, 0]
    random, window, weights, ours, our_size = np.random.default_rng(1), [], Weights(), [], []
    for i in range(a.iterations):
        with h5py.File(run / "policies" / f"{i:05d}.h5") as file:
            policy = file["K"][:], file["k"][:], file["Sigma"][:]
        window = [*window, rollouts(policy, random)][-WINDOW:]
        density = joint_density(state_distribution(window), policy)
        x, actions, _ = window[-1]
        begin = time.process_time()
        weights.push(np.concatenate([x[:T], actions], axis=2).reshape(-1, 6), density)
        our_size.append(fit_backwards(weights, window))
        ours.append(1e3 * (time.process_time() - begin))
    full = slice(WINDOW, None)
    print(f"importance weights and regressions, ms: kedge {np.median(theirs[full]):.1f}, NumPy {np.median(ours[full]):.0f}, "
          f"ratio {np.median(ours[full]) / np.median(theirs[full]):.1f}")
    print(f"median effective sample size: kedge {np.median(their_size[full]):.1f}, NumPy {np.median(our_size[full]):.1f}")


if __name__ == "__main__":
    main()
