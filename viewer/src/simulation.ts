// MuJoCo in the browser, stepped as kedge steps it (kedge/mujoco/mujoco_system.cpp).
import { binary, has } from './data';
import type { Moment } from './costs';
import type { Numbers, Payload } from './payload';
import type { Act } from './policy';

/* eslint-disable @typescript-eslint/no-explicit-any */
type Mujoco = any;

/** A force on a body at a place, both in the world's frame. */
export interface Push {
  body: number;
  force: [number, number, number]; // N
  place?: [number, number, number]; // m; the body's centre of mass if not given
}

export const canSimulate = (page: Payload): boolean => page.play !== undefined && has('mujoco-wasm');

export class Simulation {
  private constructor(
    private readonly mujoco: Mujoco,
    private readonly model: Mujoco,
    private readonly data: Mujoco,
    private readonly page: Payload,
  ) {}

  /** Throws with one line if the browser cannot, or if this MuJoCo refuses the model. */
  static async load(page: Payload, numbers: Numbers): Promise<Simulation> {
    const start = (globalThis as Record<string, any>).kedgeLoadMujoco;
    if (!start || !page.play) throw new Error('this page was made without --play');
    const log: string[] = [];
    const note = (text: string) => void log.push(text);
    const mujoco = await start({ wasmBinary: await binary('mujoco-wasm', 'gzip'), print: note, printErr: note });
    const folder = '/model';
    for (const file of page.play.files) {
      const path = `${folder}/${file.path}`;
      mujoco.FS.mkdirTree(path.slice(0, path.lastIndexOf('/')));
      mujoco.FS.writeFile(path, numbers.bytes(file.bytes));
    }
    let model: Mujoco;
    try {
      model = mujoco.MjModel.from_xml_path(`${folder}/${page.play.files[0]!.path}`);
    } catch (error) {
      throw new Error(`MuJoCo ${mujoco.mj_versionString()} refuses the model: ${log.at(-1) ?? String(error)}`);
    }
    model.opt.timestep = page.task.controlStep / page.play.substeps;
    return new Simulation(mujoco, model, new mujoco.MjData(model), page);
  }

  get version(): string {
    return this.mujoco.mj_versionString();
  }

  reset(x: ArrayLike<number>): void {
    const { mujoco, model, data } = this;
    mujoco.mj_resetData(model, data);
    const nq = data.qpos.length;
    const nv = data.qvel.length;
    const values = Array.from(x);
    data.qpos.set(values.slice(0, nq));
    data.qvel.set(values.slice(nq, nq + nv));
    if (data.act?.length) data.act.set(values.slice(nq + nv));
    mujoco.mj_kinematics(model, data);
    mujoco.mj_comPos(model, data);
  }

  state(): Float64Array {
    const { qpos, qvel, act } = this.data;
    const x = new Float64Array(this.page.task.nx);
    x.set(qpos, 0);
    x.set(qvel, qpos.length);
    if (act?.length) x.set(act, qpos.length + qvel.length);
    return x;
  }

  observation(): Float64Array {
    const x = this.state();
    return Float64Array.from(this.page.task.observation, (i) => x[i]!);
  }

  /** [bodies - 1, 7], as the poses of a rollout. */
  poses(): Float32Array {
    const { xpos, xquat } = this.data;
    const bodies = this.page.scene.bodies.length;
    const poses = new Float32Array(7 * (bodies - 1));
    for (let i = 1; i < bodies; ++i) {
      for (let k = 0; k < 3; ++k) poses[7 * (i - 1) + k] = xpos[3 * i + k];
      for (let k = 0; k < 4; ++k) poses[7 * (i - 1) + 3 + k] = xquat[4 * i + k];
    }
    return poses;
  }

  /** Centre of mass of a body. */
  centre(body: number): [number, number, number] {
    const p = this.data.xipos;
    return [p[3 * body], p[3 * body + 1], p[3 * body + 2]];
  }

  /** Mass of the whole model, kg. */
  mass(): number {
    return Array.from(this.model.body_mass as ArrayLike<number>).reduce((a, b) => a + b, 0);
  }

  /** One control step: what the policy commands at step t, within the limits, and a push. */
  step(action: ArrayLike<number>, push: Push | null): Moment {
    const { mujoco, model, data, page } = this;
    const { task, play } = page;
    const state = this.state();
    const control = new Float64Array(data.ctrl.length);
    task.controlIndex.forEach((u, i) => {
      control[u] = Math.min(Math.max(action[i]!, task.actionLow[i] ?? -Infinity), task.actionHigh[i] ?? Infinity);
    });
    data.xfrc_applied.fill(0);
    if (push) {
      const at = 6 * push.body;
      const [fx, fy, fz] = push.force;
      const centre = this.centre(push.body);
      const [rx, ry, rz] = (push.place ?? centre).map((p, k) => p - centre[k]!) as [number, number, number];
      data.xfrc_applied.set([fx, fy, fz, ry * fz - rz * fy, rz * fx - rx * fz, rx * fy - ry * fx], at);
    }
    data.qacc_warmstart.fill(0);
    let sensor = new Float64Array();
    for (let i = 0; i < play!.substeps; ++i) {
      data.ctrl.set(control);
      for (const limit of play!.jointLimits) {
        const q = data.qpos[limit.qpos] as number;
        const low = limit.low ?? -Infinity;
        const high = limit.high ?? Infinity;
        if (q >= low && q <= high) continue;
        const held = limit.stiffness * (Math.min(Math.max(q, low), high) - q) - limit.damping * data.qvel[limit.qvel];
        data.ctrl[limit.control] = Math.min(Math.max(held, limit.controlLow ?? -Infinity), limit.controlHigh ?? Infinity);
      }
      mujoco.mj_step(model, data);
      if (i === 0 && data.sensordata?.length) sensor = Float64Array.from(data.sensordata);
    }
    mujoco.mj_kinematics(model, data);
    mujoco.mj_comPos(model, data);
    return { state, action, control, sensor };
  }

  /** The final state, with the sensors there and without a control. */
  settle(): Moment {
    const { mujoco, model, data } = this;
    const state = this.state();
    data.ctrl.fill(0);
    data.xfrc_applied.fill(0);
    data.qacc_warmstart.fill(0);
    mujoco.mj_forward(model, data);
    data.qpos.set(state.subarray(0, data.qpos.length)); // mj_forward normalises quaternions
    return { state, action: [], control: new Float64Array(data.ctrl.length), sensor: Float64Array.from(data.sensordata ?? []) };
  }

  /**
   * How far this MuJoCo departs from kedge's own, without noise and pushes.
   * @param reference [T + 1, nx] kedge's states
   */
  departure(act: Act, reference: Float64Array): { largest: number; step: number } {
    const { nx, horizon } = this.page.task;
    this.reset(reference.subarray(0, nx));
    let largest = 0;
    let at = 0;
    for (let t = 0; t < horizon; ++t) {
      this.step(act(t, this.observation(), null), null);
      this.state().forEach((value, i) => {
        const apart = Math.abs(value - reference[(t + 1) * nx + i]!);
        if (!(apart <= largest)) [largest, at] = [apart, t + 1];
      });
    }
    return { largest, step: at };
  }
}
