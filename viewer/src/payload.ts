// What kedge writes into a replay page: kedge/pages/replay.cpp.
import { binary, json } from './data';

/** Where numbers lie in the binary part. */
export interface Ref {
  at: number;
  n: number;
  type: 'f4' | 'f8' | 'u4' | 'u1';
}

export interface Shape {
  shape: 'plane' | 'height field' | 'sphere' | 'capsule' | 'ellipsoid' | 'cylinder' | 'box' | 'mesh';
  body: number;
  size: [number, number, number];
  position: [number, number, number];
  rotation: [number, number, number, number]; // w, x, y, z
  colour: [number, number, number, number];
  shininess: number;
  specular: number;
  data: number;
  texture: number;
  repeat: [number, number];
  uniform: boolean;
}

export interface Light {
  body: number;
  directional: boolean;
  position: [number, number, number];
  direction: [number, number, number];
  diffuse: [number, number, number];
  ambient: [number, number, number];
  shadow: boolean;
}

export interface Camera {
  name: string;
  body: number;
  target: number;
  turns: boolean;
  position: [number, number, number];
  rotation: [number, number, number, number];
  field: number;
}

export interface SceneData {
  bodies: { name: string; parent: number }[];
  shapes: Shape[];
  meshes: { vertices: Ref; faces: Ref }[];
  heightFields: { rows: number; columns: number; size: [number, number, number, number]; heights: Ref }[];
  textures: { width: number; height: number; pixels: Ref }[];
  lights: Light[];
  headlight: { ambient: number[]; diffuse: number[] };
  cameras: Camera[];
  centre: [number, number, number];
  extent: number;
}

/** How the motion is looked at: kedge/pages/framing.h. The scene's centre is in the middle of the picture. */
export interface Framing {
  radius: number; // m
  direction: [number, number, number]; // from the centre to the eye, of unit length
  follows: boolean; // the camera goes along with the robot
  camera: number; // of the scene, used instead; -1: none
}

export interface Residual {
  source: 'state' | 'action' | 'control' | 'sensor';
  index: number[];
  matrix: number[][]; // empty: identity
  target: number[];
  needsAction: boolean;
  angle: boolean; // whole turns are no difference
  quaternion: boolean; // q and -q are no difference
}

export interface CostTerm extends Residual {
  name: string;
  weight: number[];
  norm: 'quadratic' | 'absolute' | 'smooth' | 'bounded' | 'distance';
  width: number;
  active: string; // a digit for each step 0 ... T: 1 where it counts
}

export interface Success extends Residual {
  statistic: 'mean_abs' | 'max_abs' | 'max_distance';
  below: number;
  active: string;
  text: string;
}

export interface Label {
  text: string;
  unit: string; // '': none, or unknown
}

export interface Task {
  name: string;
  summary: string;
  horizon: number; // T
  controlStep: number; // s
  observation: number[]; // entries of the state that the policy sees
  observationNames: string[]; // [ds] as the task file names them
  observationLabels: Label[]; // [ds] for the axes of plots
  actionNames: string[]; // [da]
  actionLabels: Label[]; // [da]
  actionLow: (number | null)[]; // null: no limit
  actionHigh: (number | null)[];
  controlIndex: number[];
  nx: number;
  start: { kind: 'gaussian' | 'uniform'; mean: number[]; spread: number[] };
  cost: CostTerm[];
  success: Success[]; // none or one
}

export interface Rollout {
  return: number;
  success: number | null;
  divergedAt: number; // -1: never
  states: number; // recorded: T + 1 unless it diverged
  poses: Ref; // [states, bodies - 1, 7]
  observation: Ref; // [states, ds]
  action: Ref; // [states - 1 or T, da]
  terms: Ref; // [states, cost terms]
  cost: Ref; // [states]
  start: number[]; // [nx]
  path?: Ref; // [m, 3] of what the world follows: a ball
}

export interface PolicyData {
  kind: string;
  ds: number;
  da: number;
  [numbers: string]: unknown;
}

export interface ShownPolicy {
  iterations: number; // -1: a file of its own
  names: string[];
  return: number | null;
  succeeded: number;
  diverged: number;
  evaluated: number;
  observationBand: Ref; // [2, T + 1, ds]
  actionBand: Ref; // [2, T, da]
  rollouts: Rollout[];
  marks?: Ref; // [n, 4] where its rollouts led: x, y, z, and 1 where that is good
  policy?: PolicyData;
  reference?: Ref; // [T + 1, nx]
}

export interface JointLimit {
  control: number;
  qpos: number;
  qvel: number;
  low: number | null;
  high: number | null;
  stiffness: number;
  damping: number;
  controlLow: number | null;
  controlHigh: number | null;
}

export interface Payload {
  kedge: string;
  mujoco: string;
  title: string;
  seed: number;
  deterministic: boolean;
  band: [number, number];
  task: Task;
  scene: SceneData;
  framing: Framing;
  policies: ShownPolicy[];
  play?: { substeps: number; files: { path: string; bytes: Ref }[]; jointLimits: JointLimit[] };
}

/** The binary part. */
export class Numbers {
  constructor(private readonly buffer: ArrayBuffer) {}
  floats(ref: Ref): Float32Array {
    return new Float32Array(this.buffer, ref.at, ref.n);
  }
  doubles(ref: Ref): Float64Array {
    return new Float64Array(this.buffer, ref.at, ref.n);
  }
  naturals(ref: Ref): Uint32Array {
    return new Uint32Array(this.buffer, ref.at, ref.n);
  }
  bytes(ref: Ref): Uint8Array {
    return new Uint8Array(this.buffer, ref.at, ref.n);
  }
}

export async function load(): Promise<{ page: Payload; numbers: Numbers }> {
  return { page: json<Payload>('data'), numbers: new Numbers(await binary('numbers', 'deflate')) };
}

/** Column `i` of a [rows, columns] table, filled up with null to `length`. */
export function column(table: ArrayLike<number>, columns: number, i: number, length: number): (number | null)[] {
  const values: (number | null)[] = new Array(length).fill(null);
  for (let t = 0; t < length && t * columns + i < table.length; ++t) values[t] = table[t * columns + i]!;
  return values;
}
