// MuJoCo for the Play part of a replay page, in a script of its own: pages without Play do not carry it.
import loadMujoco from '@mujoco/mujoco';

(globalThis as Record<string, unknown>).kedgeLoadMujoco = loadMujoco;
