// Play: the policy at work in the browser. The reader pushes the robot, changes the start, switches noise on.
import * as THREE from 'three';
import { SuccessMeter, termValue, type Moment } from './costs';
import { make, short } from './dom';
import type { Numbers, Payload } from './payload';
import { act, type Act } from './policy';
import { Simulation, type Push } from './simulation';
import type { Stage } from './stage';

interface Hooks {
  changed: (active: boolean) => void;
  ran: () => void;
  speed: () => number;
  pose: (poses: Float32Array) => void;
  read: (text: string) => void;
  /** Costs by term [T + 1, terms], NaN where a term does not count. */
  trace: (observation: Float64Array, action: Float64Array, costs: Float64Array, step: number) => void;
}

const fingerWidth = 24; // px around a finger in which a link is found, the nearest one first
const mouseWidth = 6;
const pushSteps = 0.1; // s that a push by button lasts

export class Player {
  active = false;
  running = false;
  readonly element: HTMLElement;
  private simulation: Simulation | null = null;
  private policy: Act | null = null;
  private policyNumber = 0;
  private rollout = 0;
  private step = 0;
  private owed = 0; // s of simulation that the clock is ahead
  private last = 0;
  private observation = new Float64Array();
  private action = new Float64Array();
  private costs = new Float64Array();
  private cost = 0;
  private meter: SuccessMeter | null = null;
  private start: number[];
  private pushed: { push: Push; until: number } | null = null; // by a button, to this step
  private held: { body: number; local: THREE.Vector3; pointer: THREE.Vector3 } | null = null; // with the mouse
  private arrow: THREE.ArrowHelper | null = null;
  private readonly onButton = make('button', { class: 'primary' }, 'Simulate in this browser');
  private readonly panel = make('div', { class: 'controls', style: 'display: none' });
  private readonly status = make('span', { class: 'small', role: 'status' });
  private readonly agreement = make('p', { class: 'small muted', style: 'margin: 0' });
  private readonly strength = make('input', { type: 'range', min: '0.1', max: '3', step: '0.1', value: '1', 'aria-label': 'Strength of a push' });
  private readonly strengthText = make('span', { class: 'small numbers' });
  private readonly noise = make('input', { type: 'checkbox' });
  private readonly after = make('select', { 'aria-label': 'At the end' });
  private readonly fields: HTMLInputElement[] = [];

  constructor(
    private readonly page: Payload,
    private readonly numbers: Numbers,
    private readonly stage: Stage | null,
    private readonly stageBox: HTMLElement,
    private readonly hooks: Hooks,
  ) {
    this.start = [...page.task.start.mean];
    this.onButton.onclick = () => void this.toggle();
    const button = (text: string, title: string, action: () => void) => {
      const b = make('button', { title }, text);
      b.onclick = action;
      return b;
    };
    for (const [value, text] of [['stop', 'stop at the end'], ['again', 'again from the start'], ['hold', 'go on holding']] as const)
      this.after.append(make('option', { value }, text));
    this.strength.oninput = () => this.tellStrength();
    const details = make('details', { class: 'start' }, make('summary', {}, 'Start'), this.startFields());
    this.panel.append(
      make('div', { class: 'row' }, button('Restart', 'From the start', () => this.restart()), button('Other start', 'Drawn from the distribution of the start', () => this.draw()), make('label', {}, this.noise, 'noise'), this.after),
      make(
        'div',
        { class: 'row' },
        button('← Push', 'Push to the left (j)', () => this.push(-1)),
        button('Push →', 'Push to the right (k)', () => this.push(1)),
        make('label', {}, this.strength, this.strengthText),
        make('span', { class: 'small muted' }, this.stage ? 'or pull a link with the mouse or a finger' : ''),
      ),
      details,
      this.status,
      this.agreement,
    );
    this.element = make('div', { class: 'panel controls' }, make('div', { class: 'row' }, this.onButton), this.panel);
    this.mouse();
  }

  // ---- on and off

  private async toggle(): Promise<void> {
    if (this.active) {
      this.active = false;
      this.run(false);
      this.drop();
      this.panel.style.display = 'none';
      this.onButton.textContent = 'Simulate in this browser';
      this.onButton.classList.add('primary');
      this.hooks.changed(false);
      return;
    }
    if (!this.simulation) {
      this.onButton.disabled = true;
      this.onButton.textContent = 'Loading MuJoCo…';
      try {
        this.simulation = await Simulation.load(this.page, this.numbers);
      } catch (error) {
        this.onButton.textContent = 'It cannot be simulated here';
        this.element.append(make('p', { class: 'small bad', role: 'alert' }, (error as Error).message));
        return;
      }
      this.onButton.disabled = false;
    }
    this.active = true;
    this.panel.style.display = '';
    this.onButton.textContent = 'Back to the replay';
    this.onButton.classList.remove('primary');
    this.tellStrength();
    this.setPolicy(this.policyNumber, this.rollout);
    this.hooks.changed(true);
    this.run(true);
  }

  setPolicy(policy: number, rollout: number): void {
    const changed = policy !== this.policyNumber || rollout !== this.rollout;
    this.policyNumber = policy;
    this.rollout = rollout;
    const shown = this.page.policies[policy]!;
    if (changed || this.step === 0) this.start = [...shown.rollouts[rollout]!.start];
    if (!this.simulation || !this.active) return;
    this.policy = shown.policy ? act(shown.policy, this.numbers) : null;
    if (!this.policy) {
      this.status.textContent = `This page cannot run policies of kind ${shown.policy?.kind}.`;
      return;
    }
    const { largest, step } = this.simulation.departure(this.policy, this.numbers.doubles(shown.reference!));
    this.agreement.textContent =
      `Without noise and pushes, MuJoCo ${this.simulation.version} in this browser departs from kedge's own trajectory (MuJoCo ${this.page.mujoco}) ` +
      `by at most ${largest.toExponential(1)} in any state, at step ${step} of ${this.page.task.horizon}.`;
    this.measured = { largest, step };
    this.restart();
  }
  private measured: { largest: number; step: number } | null = null;

  // ---- running

  restart(): void {
    if (!this.simulation) return;
    const { task } = this.page;
    this.step = 0;
    this.owed = 0;
    this.cost = 0;
    this.pushed = null;
    this.meter = task.success[0] ? new SuccessMeter(task.success[0]) : null;
    this.simulation.reset(this.start);
    this.observation = new Float64Array((task.horizon + 1) * task.observation.length).fill(NaN);
    this.action = new Float64Array(task.horizon * task.actionNames.length).fill(NaN);
    this.costs = new Float64Array((task.horizon + 1) * task.cost.length).fill(NaN);
    this.observation.set(this.simulation.observation(), 0);
    this.fields.forEach((field, i) => (field.value = String(Number(this.start[i]!.toPrecision(5)))));
    this.status.textContent = '';
    this.show();
  }

  /** A start from the task's distribution. */
  private draw(): void {
    const { mean, spread, kind } = this.page.task.start;
    this.start = mean.map((m, i) => m + spread[i]! * (kind === 'gaussian' ? normal() : 2 * Math.random() - 1));
    this.restart();
    this.run(true);
  }

  run(on: boolean): void {
    if (on && this.ended()) this.restart();
    this.running = on && this.active && this.policy !== null;
    this.last = performance.now();
    this.hooks.ran();
    if (this.running) requestAnimationFrame(() => this.frame());
  }

  private ended(): boolean {
    return this.step >= this.page.task.horizon && this.after.value !== 'hold';
  }

  private frame(): void {
    if (!this.running) return;
    const now = performance.now();
    this.owed += Math.min((this.hooks.speed() * (now - this.last)) / 1000, 0.25);
    this.last = now;
    while (this.owed >= this.page.task.controlStep && this.running) {
      this.owed -= this.page.task.controlStep;
      this.advance();
    }
    this.show();
    if (this.running) requestAnimationFrame(() => this.frame());
  }

  /** One control step. */
  advance(): void {
    const { task } = this.page;
    const simulation = this.simulation!;
    if (this.ended()) {
      this.finish();
      return;
    }
    const s = simulation.observation();
    // Beyond its horizon the policy says nothing; "hold" repeats one of its steps.
    const t = this.step < task.horizon ? this.step : this.heldStep();
    const a = this.policy!(t, s, this.noise.checked ? normal : null);
    const push = this.held ? this.pull() : this.pushed && this.step < this.pushed.until ? this.pushed.push : null;
    this.drawArrow(push);
    const moment = simulation.step(a, push);
    if (this.step < task.horizon) {
      this.measure(this.step, moment);
      this.action.set(a, this.step * task.actionNames.length);
    }
    this.step += 1;
    if (this.step <= task.horizon) this.observation.set(simulation.observation(), this.step * task.observation.length);
    if (this.step === task.horizon) this.measure(this.step, simulation.settle());
    if (!simulation.state().every((x) => Math.abs(x) < 1e10)) {
      this.status.textContent = 'The simulation diverged.';
      this.run(false);
    }
  }

  private measure(t: number, moment: Moment): void {
    const { cost } = this.page.task;
    cost.forEach((term, i) => {
      if (term.active[t] !== '1') return;
      const value = termValue(term, moment);
      this.costs[t * cost.length + i] = value;
      this.cost += value;
    });
    this.meter?.add(t, moment);
  }

  /** In the middle of the last fifth, where tasks hold what they have reached. */
  private heldStep(): number {
    return Math.max(0, Math.round(0.9 * this.page.task.horizon) - 1);
  }

  private finish(): void {
    const success = this.page.task.success[0];
    if (success && this.meter) {
      const value = this.meter.value();
      const good = value < success.below;
      this.status.textContent = `${good ? '✓ It succeeded' : '✗ It did not succeed'}: ${short(value)}, limit ${short(success.below)} (${success.text}). Cost ${short(this.cost)}.`;
      this.status.className = `small ${good ? 'good' : 'bad'}`;
    } else {
      this.status.textContent = `Cost ${short(this.cost)}.`;
    }
    if (this.after.value === 'again') this.restart();
    else this.run(false);
  }

  /** Runs to the end at once, for tests and for readers without patience. */
  complete(): void {
    this.running = false;
    while (!this.ended()) this.advance();
    this.finish();
    this.show();
  }

  show(): void {
    if (!this.simulation) return;
    const { task } = this.page;
    this.hooks.pose(this.simulation.poses());
    this.hooks.read(`simulated · ${(this.step * task.controlStep).toFixed(2)} s · step ${this.step} of ${task.horizon} · cost ${short(this.cost)}`);
    this.hooks.trace(this.observation, this.action, this.costs, Math.min(this.step, task.horizon));
  }

  // ---- pushing

  private force(): number {
    return Number(this.strength.value) * this.simulation!.mass() * 9.81;
  }

  private tellStrength(): void {
    if (this.simulation) this.strengthText.textContent = `${short(this.force())} N`;
  }

  /** A push of a tenth of a second on the last body, to the left (-1) or right (1) as the reader sees it. */
  push(side: number): void {
    if (!this.active || !this.simulation) return;
    const right = this.stage ? new THREE.Vector3().setFromMatrixColumn(this.stage.camera.matrixWorld, 0) : new THREE.Vector3(1, 0, 0);
    const [x, y, z] = right.multiplyScalar(side * this.force()).toArray();
    const steps = Math.max(1, Math.round(pushSteps / this.page.task.controlStep));
    this.pushed = { push: { body: this.page.scene.bodies.length - 1, force: [x, y, z] }, until: this.step + steps };
    if (!this.running && !this.ended()) this.run(true);
  }

  /** The mouse pulls like a spring. */
  private pull(): Push {
    const { body, local, pointer } = this.held!;
    const place = this.grabbed(body, local);
    const stiffness = (2 * this.force()) / this.page.scene.extent;
    const force = pointer.clone().sub(place).multiplyScalar(stiffness);
    return { body, force: force.toArray(), place: place.toArray() };
  }

  private grabbed(body: number, local: THREE.Vector3): THREE.Vector3 {
    const poses = this.simulation!.poses();
    const at = 7 * (body - 1);
    const rotation = new THREE.Quaternion(poses[at + 4], poses[at + 5], poses[at + 6], poses[at + 3]);
    return local.clone().applyQuaternion(rotation).add(new THREE.Vector3(poses[at], poses[at + 1], poses[at + 2]));
  }

  private mouse(): void {
    const { stage } = this;
    if (!stage) return;
    const body = (object: THREE.Object3D | null): number => (object === null ? 0 : (object.userData.body ?? body(object.parent)));
    this.stageBox.addEventListener(
      'pointerdown',
      (event) => {
        if (!this.active || event.target !== stage.canvas || event.button !== 0) return;
        const hit = stage.pick(event.clientX, event.clientY, event.pointerType === 'touch' ? fingerWidth : mouseWidth, (object) => body(object) > 0);
        if (!hit) return;
        const number = body(hit.object);
        event.stopPropagation(); // the camera stays
        stage.canvas.setPointerCapture(event.pointerId);
        const local = this.grabbed(number, new THREE.Vector3());
        const poses = this.simulation!.poses();
        const at = 7 * (number - 1);
        const back = new THREE.Quaternion(poses[at + 4], poses[at + 5], poses[at + 6], poses[at + 3]).invert();
        this.held = { body: number, local: hit.point.clone().sub(local).applyQuaternion(back), pointer: hit.point.clone() };
        if (!this.running && !this.ended()) this.run(true);
      },
      { capture: true },
    );
    stage.canvas.addEventListener('pointermove', (event) => {
      if (this.held) this.held.pointer = stage.drag(event.clientX, event.clientY, this.grabbed(this.held.body, this.held.local));
    });
    for (const name of ['pointerup', 'pointercancel'] as const) stage.canvas.addEventListener(name, () => this.drop());
  }

  private drop(): void {
    this.held = null;
    this.drawArrow(null);
  }

  private drawArrow(push: Push | null): void {
    const { stage } = this;
    if (!stage) return;
    if (this.arrow) stage.world.remove(this.arrow);
    this.arrow = null;
    if (!push) return;
    const force = new THREE.Vector3(...push.force);
    const length = Math.min((force.length() / this.force()) * 0.3, 1) * this.page.scene.extent;
    if (length < 1e-6) return;
    const from = new THREE.Vector3(...(push.place ?? this.simulation!.centre(push.body)));
    this.arrow = new THREE.ArrowHelper(force.normalize(), from, length, 0xd55e00, 0.25 * length, 0.15 * length);
    stage.world.add(this.arrow);
  }

  private startFields(): HTMLElement {
    const { task } = this.page;
    const names = Array.from({ length: task.nx }, (_, i) => {
      const seen = task.observation.indexOf(i);
      return seen >= 0 ? task.observationNames[seen]! : `state ${i}`;
    });
    const box = make('div', { class: 'fields' });
    names.forEach((name, i) => {
      const field = make('input', { type: 'number', step: 'any', value: String(this.start[i]) });
      field.onchange = () => {
        if (!Number.isFinite(field.valueAsNumber)) return;
        this.start[i] = field.valueAsNumber;
        this.restart();
      };
      this.fields.push(field);
      box.append(make('label', {}, name, field));
    });
    return box;
  }

  /** For tests. */
  state(): Record<string, unknown> {
    return {
      active: this.active,
      running: this.running,
      step: this.step,
      cost: this.cost,
      success: this.meter?.value(),
      departure: this.measured,
      status: this.status.textContent,
      x: this.simulation ? Array.from(this.simulation.state()) : null,
    };
  }
}

/** A standard normal number (Box and Muller). */
function normal(): number {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
