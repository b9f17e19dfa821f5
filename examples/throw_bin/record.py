#!/usr/bin/env python3
"""Writes recording.h5: what a robot logs while its arm is led through a throw by hand.

Replace the three lines that invent the log (`angle`) by yours: joint angles in rad, one row for each control step. Needs h5py.
"""
import h5py
import numpy as np

step, swing, horizon = 0.02, 0.5, 75  # s, s, control steps
first, last = np.array([-0.5, -0.7, -0.37]), np.array([0.15, 0.1, 0.1])  # shoulder, elbow, wrist: rad

t = np.arange(horizon + 1) * step
s = np.clip(t / swing, 0, 1)
angle = first + (last - first) * (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None]
angle[1:] += np.random.default_rng(1).normal(0, 0.003, angle[1:].shape)  # encoders, and a hand that trembles
speed = np.gradient(angle, step, axis=0)
speed[0] = 0

# The state is [qpos, qvel]; the ball has two entries in each, of which no log knows anything: it stays where the task puts it.
ball = np.tile([-0.5474, 1.1509], (horizon + 1, 1))
state = np.hstack([angle, ball, speed, np.zeros_like(ball)])
with h5py.File("recording.h5", "w") as file:
    file["state"] = state
    file["action"] = np.zeros((horizon, 3))  # not logged, and not needed for a movement primitive
