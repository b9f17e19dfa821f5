// The page of a replay: kedge replay. Rollouts of several policies, drawn, plotted, and simulated if MuJoCo is inside.
import * as THREE from 'three';
import { make, short } from './dom';
import { marksOf, pathOf } from './marks';
import { column, load, type Label, type Numbers, type Payload, type Rollout, type ShownPolicy } from './payload';
import { Player } from './player';
import { Plot } from './plot';
import './replay.css';
import { Geometry, middle, Robot } from './robot';
import { canSimulate } from './simulation';
import { Stage, type View } from './stage';
import { themeButton, setTheme, theme } from './theme';

const speeds = [0.05, 0.1, 0.25, 0.5, 1, 2, 4];
const layouts = { overlay: 'rollouts in one view', rollouts: 'rollouts side by side', policies: 'policies side by side' } as const;
type Layout = keyof typeof layouts;

const seriesColours = ['--c1', '--c2', '--c3', '--c4', '--c5', '--c6'];

class Replay {
  private policy: number;
  private rollout = 0;
  private time = 0; // steps, between them too
  private playing = false;
  private speed = 1;
  private layout: Layout = 'overlay';
  private following: boolean;

  private readonly T: number;
  private readonly dt: number;
  private readonly poses: Float32Array[][]; // [policy][rollout]
  private readonly stageBox = make('div', { class: 'stage' });
  private readonly readout = make('div', { class: 'readout numbers' });
  private readonly scrubber: HTMLInputElement;
  private readonly playButton = make('button', { class: 'primary', style: 'min-width: 44px' });
  private readonly policyChips = make('div', { class: 'chips', role: 'group', 'aria-label': 'Policy' });
  private readonly rolloutChips = make('div', { class: 'chips', role: 'group', 'aria-label': 'Rollout' });
  private readonly facts = make('div', { class: 'facts small' });
  private readonly speedSelect: HTMLSelectElement;
  private readonly layoutSelect: HTMLSelectElement;
  private readonly followButton = make('button', { title: 'The camera moves with the robot (f)' }, 'Follow');
  private readonly labels = make('div');
  private readonly observationPlots: Plot[] = [];
  private readonly actionPlots: Plot[] = [];
  private costPlot!: Plot;
  private stage: Stage | null = null;
  private geometry!: Geometry;
  private world!: Robot;
  private readonly solid: Robot[] = [];
  private readonly ghosts: Robot[] = [];
  private readonly marked = new Map<string, THREE.Object3D>(); // paths and marks that have been shown
  private player: Player | null = null;
  private last = 0;
  private readonly place = new THREE.Vector3();

  constructor(
    private readonly page: Payload,
    private readonly numbers: Numbers,
  ) {
    const { task, policies } = page;
    this.T = task.horizon;
    this.dt = task.controlStep;
    this.policy = policies.length - 1;
    this.poses = policies.map((p) => p.rollouts.map((r) => numbers.floats(r.poses)));
    this.following = page.framing.follows && page.framing.camera < 0;
    this.scrubber = make('input', { type: 'range', min: '0', max: String(this.T), step: '1', value: '0', 'aria-label': 'Time step' });
    this.speedSelect = make('select', { 'aria-label': 'Speed', title: 'Speed ([ and ])' }, ...speeds.map((s) => make('option', { value: String(s) }, `${s}×`)));
    this.layoutSelect = make(
      'select',
      { 'aria-label': 'Layout', title: 'Layout (l)' },
      ...Object.entries(layouts)
        .filter(([name]) => name !== 'policies' || policies.length > 1)
        .map(([value, text]) => make('option', { value }, text)),
    );
    this.build();
    this.buttons();
    this.startStage();
    this.readHash();
    this.choose();
    if (canSimulate(page)) this.addPlayer();
    if (!location.hash && this.stage && !matchMedia('(prefers-reduced-motion: reduce)').matches) this.play(true);
    addEventListener('keydown', (event) => this.key(event));
    addEventListener('hashchange', () => {
      this.readHash();
      this.choose();
    });
  }

  // ---- the page

  private build(): void {
    const { page, T } = this;
    const { task } = page;
    document.title = `${task.name} · ${page.title} · kedge replay`;
    const share = make('button', { title: 'Copy a link to this moment (s)' }, 'Share');
    share.onclick = () => this.share(share);
    const help = this.help();
    const helpButton = make('button', { title: 'Keys (?)', 'aria-label': 'Help' }, '?');
    helpButton.onclick = () => help.showModal();
    const top = make(
      'header',
      { class: 'bar top' },
      make('h1', {}, task.name),
      make('span', { class: 'muted small' }, task.summary),
      make('span', { class: 'bar push' }, make('span', { class: 'muted small' }, page.title), share, themeButton(), helpButton),
    );

    this.playButton.onclick = () => this.play(!this.playing);
    this.scrubber.oninput = () => this.go(Number(this.scrubber.value));
    this.speedSelect.onchange = () => (this.speed = Number(this.speedSelect.value));
    this.layoutSelect.onchange = () => {
      this.layout = this.layoutSelect.value as Layout;
      this.choose();
    };
    this.followButton.onclick = () => this.follow(!this.following);
    const camera = make('select', { 'aria-label': 'Camera' }, make('option', { value: 'home' }, 'camera'));
    page.scene.cameras.forEach((c, i) => camera.append(make('option', { value: String(i) }, c.name)));
    camera.append(make('option', { value: 'reset' }, 'reset'));
    camera.onchange = () => {
      const chosen = page.scene.cameras[Number(camera.value)];
      if (chosen) this.stage?.use(chosen);
      else this.stage?.home();
      camera.value = 'home';
      this.show();
    };

    page.policies.forEach((p, i) => {
      const chip = make('button', { title: `${p.evaluated} rollouts, mean return ${short(p.return)}` }, policyName(p));
      chip.onclick = () => this.choose({ policy: i });
      this.policyChips.append(chip);
    });
    page.policies[0]!.rollouts.forEach((_, n) => {
      const chip = make('button', {}, String(n + 1));
      chip.onclick = () => this.choose({ rollout: n });
      this.rolloutChips.append(chip);
    });

    this.stageBox.append(this.labels, this.readout);
    const left = make(
      'section',
      { class: 'left', 'aria-label': 'Animation' },
      this.stageBox,
      make('div', { class: 'scrub' }, this.playButton, this.scrubber, this.speedSelect),
      make(
        'div',
        { class: 'panel controls' },
        make('div', { class: 'row' }, make('span', { class: 'name' }, page.policies[0]!.iterations < 0 ? 'Policy' : 'Iterations'), this.policyChips),
        make(
          'div',
          { class: 'row' },
          make('span', { class: 'name' }, 'Rollout'),
          this.rolloutChips,
          this.layoutSelect,
          this.followButton,
          camera,
        ),
        this.facts,
      ),
    );

    const x = Array.from({ length: T + 1 }, (_, t) => t * this.dt);
    const common = { x, xTicks: (v: number) => `${short(v)} s`, sync: 'time', onPick: (s: number) => this.go(Math.round(s / this.dt)), lines: [] };
    const observations = make('div', { class: 'plots' });
    const actions = make('div', { class: 'plots' });
    const costs = make('div');
    const right = make(
      'section',
      { class: 'right', 'aria-label': 'Plots' },
      make('div', { class: 'panel' }, make('h2', {}, 'Cost'), costs),
      make('div', { class: 'panel' }, make('h2', {}, 'Action'), actions),
      make('div', { class: 'panel' }, make('h2', {}, 'State'), observations),
    );
    document.getElementById('page')!.append(top, make('div', { class: 'replay' }, left, right), help);
    // Plots of many states come when the reader asks for them.
    const addPlots = (first: number, end: number) => {
      for (let i = first; i < end; ++i) this.observationPlots.push(new Plot(observations, { ...common, title: titled(task.observationLabels[i]!), hint: task.observationNames[i]!, height: 112 }));
    };
    const some = task.observationNames.length > 9 ? 8 : task.observationNames.length;
    addPlots(0, some);
    if (some < task.observationNames.length) {
      const more = make('button', { class: 'small' }, `Show all ${task.observationNames.length}`);
      more.onclick = () => {
        more.remove();
        addPlots(some, task.observationNames.length);
        this.plot();
      };
      observations.after(more);
    }
    task.actionNames.forEach((name, i) => {
      const [low, high] = [task.actionLow[i] ?? null, task.actionHigh[i] ?? null];
      const levels = [low, high].filter((v): v is number => v !== null);
      const label = task.actionLabels[i]!;
      const text = /^\d+$/.test(label.text) ? `actuator ${label.text}` : label.text; // without a name in the model it goes by its number
      // Commands far beyond the limits would make a line of what the actuator does.
      const yRange = low !== null && high !== null ? ([low - 0.25 * (high - low), high + 0.25 * (high - low)] as [number, number]) : undefined;
      this.actionPlots.push(new Plot(actions, { ...common, title: titled({ ...label, text }), hint: name, levels, yRange, height: 112 }));
    });
    this.costPlot = new Plot(costs, { ...common, title: 'by term, where it counts', yScale: 'asinh', height: 150 });
  }

  private help(): HTMLDialogElement {
    const keys: [string, string][] = [
      ['space', 'play, pause'],
      ['← →', 'one step back, on; with shift ten'],
      ['Home End', 'first, last step'],
      ['↑ ↓', 'policy'],
      ['r', 'next rollout'],
      ['l', 'layout'],
      ['[ ]', 'slower, faster'],
      ['f', 'the camera follows'],
      ['c', 'camera as at the beginning'],
      ['s', 'copy a link to this moment'],
      ['d', 'light or dark'],
      ['j k', 'push to the left, to the right (in a simulation)'],
    ];
    const dialog = make(
      'dialog',
      {},
      make('h2', {}, 'Keys'),
      make('table', {}, ...keys.map(([key, what]) => make('tr', {}, make('td', {}, make('kbd', {}, key)), make('td', {}, what)))),
      make('p', { class: 'small' }, 'Drag to turn the camera, with the right button or two fingers to move it, wheel or pinch to come nearer. Click or drag in a plot to go to that time.'),
      make(
        'p',
        { class: 'small muted' },
        `kedge ${this.page.kedge}, MuJoCo ${this.page.mujoco}. Rollouts of seed ${this.page.seed}, ${this.page.deterministic ? 'without' : 'with'} exploration noise; bands: 90 % of ${this.page.policies[0]!.evaluated} rollouts. Dashed: limits.` +
          (canSimulate(this.page) ? '' : ' To push the robot, make the page with --play.'),
      ),
    );
    const close = make('button', {}, 'Close');
    close.onclick = () => dialog.close();
    dialog.append(close);
    return dialog;
  }

  private startStage(): void {
    try {
      // Asked first: the renderer would fail with an error on the console.
      if (!document.createElement('canvas').getContext('webgl2')) throw new Error('no WebGL');
      this.stage = new Stage(this.stageBox, this.page.scene, this.page.framing);
    } catch {
      this.stageBox.append(
        make('div', { class: 'message', role: 'status' }, 'This browser has no WebGL, so the robot cannot be drawn. The plots work without it.'),
      );
      this.stageBox.classList.add('without-webgl');
      return;
    }
    this.stage.canvas.setAttribute('aria-label', `The robot ${this.page.task.name}, animated`);
    this.geometry = new Geometry(this.page.scene, this.numbers);
    this.world = new Robot(this.page.scene, this.geometry, 1, true);
    for (const body of this.world.bodies.slice(1)) body.removeFromParent();
    this.stage.everything.add(this.world.root);
    this.stage.onFreed = () => this.saveSoon();
  }

  // ---- what is shown

  private get shown(): ShownPolicy {
    return this.page.policies[this.policy]!;
  }

  private get focus(): Rollout {
    return this.shown.rollouts[this.rollout]!;
  }

  private choose(change: { policy?: number; rollout?: number } = {}): void {
    if (change.policy !== undefined) this.policy = Math.min(Math.max(change.policy, 0), this.page.policies.length - 1);
    if (change.rollout !== undefined) this.rollout = change.rollout % this.shown.rollouts.length;
    this.layoutSelect.value = this.layout;
    this.speedSelect.value = String(this.speed);
    this.followButton.setAttribute('aria-pressed', String(this.following));
    const press = (chips: HTMLElement, n: number) => [...chips.children].forEach((chip, i) => chip.setAttribute('aria-pressed', String(i === n)));
    press(this.policyChips, this.policy);
    press(this.rolloutChips, this.rollout);
    this.player?.setPolicy(this.policy, this.rollout);
    this.arrange();
    this.plot();
    this.tell();
    this.show();
    this.saveSoon();
  }

  /** The path of a rollout and the marks of its policy, where the world has them. */
  private marks(policy: number, rollout: number): THREE.Object3D[] {
    const { extent } = this.page.scene;
    const shown = this.page.policies[policy]!;
    const path = shown.rollouts[rollout]!.path;
    const once = (key: string, make: () => THREE.Object3D) => {
      let object = this.marked.get(key);
      if (!object) {
        this.marked.set(key, (object = make()));
        this.stage!.everything.add(object);
      }
      return object;
    };
    const { marks } = shown;
    return [
      ...(marks && marks.n > 0 ? [once(`${policy}`, () => marksOf(this.numbers.floats(marks), extent))] : []),
      ...(path ? [once(`${policy} ${rollout}`, () => pathOf(this.numbers.floats(path), extent))] : []),
    ];
  }

  /** The robots that each view shows. */
  private arrange(): void {
    const { stage } = this;
    if (!stage) return;
    const robot = (pool: Robot[], i: number, opacity: number) => {
      while (pool.length <= i) {
        const added = new Robot(this.page.scene, this.geometry, opacity, false);
        pool.push(added);
        stage.everything.add(added.root);
      }
      return pool[i]!.root;
    };
    const world = this.world.root;
    const n = this.shown.rollouts.length;
    let views: View[];
    if (this.player?.active) {
      views = [{ label: '', robots: [world, robot(this.solid, 0, 1)] }];
    } else if (this.layout === 'overlay') {
      const ghosts = Array.from({ length: n }, (_, i) => i).filter((i) => i !== this.rollout);
      views = [{ label: '', robots: [world, robot(this.solid, 0, 1), ...this.marks(this.policy, this.rollout), ...ghosts.map((i) => robot(this.ghosts, i, 0.22))] }];
    } else if (this.layout === 'rollouts') {
      views = Array.from({ length: n }, (_, i) => ({ label: `rollout ${i + 1}`, robots: [world, robot(this.solid, i, 1), ...this.marks(this.policy, i)] }));
    } else {
      views = this.page.policies.map((p, i) => ({ label: policyName(p), robots: [world, robot(this.solid, i, 1), ...this.marks(i, this.rollout)] }));
    }
    stage.views = views;
    this.labels.replaceChildren();
    if (views.length === 1) return;
    const [columns, rows] = stage.grid();
    views.forEach((view, i) => {
      const chosen = i === (this.layout === 'rollouts' ? this.rollout : this.policy);
      const label = make(
        'button',
        { class: 'label', 'aria-pressed': String(chosen), style: `left: calc(${((i % columns) * 100) / columns}% + 6px); top: calc(${(Math.floor(i / columns) * 100) / rows}% + 6px); z-index: 1` },
        view.label,
      );
      label.onclick = () => this.choose(this.layout === 'rollouts' ? { rollout: i } : { policy: i });
      this.labels.append(label);
    });
  }

  private plot(): void {
    const { page, numbers, shown, T } = this;
    const { task } = page;
    const focus = this.player?.active ? null : this.focus; // in a simulation the lines come as it runs
    const nothing = new Float32Array();
    const bandLabel = `${Math.round(100 * (page.band[1] - page.band[0]))} %`;
    const fill = (plots: Plot[], width: number, length: number, table: (r: Rollout) => Float32Array, bandTable: Float32Array) =>
      plots.forEach((plot, i) => {
        const colour = seriesColours[i % seriesColours.length]!;
        const half = bandTable.length / 2;
        plot.set({
          bands: [
            {
              label: bandLabel,
              colour,
              low: column(bandTable.subarray(0, half), width, i, T + 1),
              high: column(bandTable.subarray(half), width, i, T + 1),
            },
          ],
          lines: [
            ...shown.rollouts
              .filter((r) => r !== focus && shown.rollouts.length <= 12)
              .map((r) => ({ label: 'other', y: column(table(r), width, i, length), colour, faint: true })),
            { label: focus ? `rollout ${this.rollout + 1}` : 'simulated', y: column(focus ? table(focus) : nothing, width, i, length), colour },
          ],
        });
      });
    fill(this.observationPlots, task.observation.length, T + 1, (r) => numbers.floats(r.observation), numbers.floats(shown.observationBand));
    fill(this.actionPlots, task.actionNames.length, T + 1, (r) => numbers.floats(r.action), numbers.floats(shown.actionBand));
    const terms = focus ? numbers.floats(focus.terms) : nothing;
    this.costPlot.set({
      lines: task.cost.map((term, i) => ({
        label: term.name,
        colour: seriesColours[i % seriesColours.length]!,
        dash: i < seriesColours.length ? undefined : [6, 3],
        y: column(terms, task.cost.length, i, T + 1).map((value, t) => (term.active[t] === '1' ? value : null)),
      })),
    });
  }

  private tell(): void {
    const { shown, focus, page } = this;
    const success = page.task.success[0];
    const fact = (name: string, value: Node | string, kind = '') => make('span', {}, make('span', { class: 'muted' }, `${name} `), make('b', { class: kind }, value));
    const reached = focus.success !== null && success && focus.success < success.below;
    this.facts.replaceChildren(
      fact('return of this rollout', focus.divergedAt >= 0 ? `diverged at step ${focus.divergedAt}` : short(focus.return), focus.divergedAt >= 0 ? 'bad' : ''),
      fact(`mean of ${shown.evaluated}`, short(shown.return)),
      ...(success
        ? [
            fact('this one', focus.success === null ? '–' : reached ? '✓ succeeds' : '✗ does not succeed', reached ? 'good' : 'bad'),
            fact('succeed', `${shown.succeeded} of ${shown.evaluated}`, shown.succeeded === shown.evaluated ? 'good' : ''),
            make('span', { class: 'muted' }, `success: ${success.text}`),
          ]
        : []),
      ...(shown.diverged > 0 ? [fact('diverged', `${shown.diverged} of ${shown.evaluated}`, 'bad')] : []),
    );
  }

  // ---- time

  private go(step: number): void {
    this.play(false);
    this.time = Math.min(Math.max(step, 0), this.T);
    this.show();
    this.saveSoon();
  }

  private play(on: boolean): void {
    if (this.player?.active) {
      this.player.run(on);
      on = false;
    }
    if (on && this.time >= this.T) this.time = 0;
    this.playing = on;
    this.last = performance.now();
    this.buttons();
    if (on) requestAnimationFrame(() => this.frame());
    else this.saveSoon();
  }

  private buttons(): void {
    const going = this.playing || this.player?.running === true;
    this.playButton.textContent = going ? '❚❚' : '▶';
    this.playButton.setAttribute('aria-label', going ? 'Pause' : 'Play');
  }

  private frame(): void {
    if (!this.playing) return;
    const now = performance.now();
    this.time += (this.speed * (now - this.last)) / 1000 / this.dt;
    this.last = now;
    if (this.time >= this.T) {
      this.time = this.T;
      this.play(false);
    }
    this.show();
    if (this.playing) requestAnimationFrame(() => this.frame());
  }

  /** Draws the present moment. */
  private show(): void {
    const { stage, T, dt } = this;
    if (this.player?.active) return this.player.show();
    const step = Math.min(Math.round(this.time), T);
    this.scrubber.value = String(step);
    this.scrubber.setAttribute('aria-valuetext', `step ${step} of ${T}, ${short(step * dt)} seconds`);
    const cost = this.numbers.floats(this.focus.cost);
    let sum = 0;
    for (let t = 0; t <= step && t < cost.length; ++t) sum += cost[t]!;
    this.readout.textContent = `${(this.time * dt).toFixed(2)} s · step ${step} of ${T} · cost so far ${short(sum)}`;
    for (const plot of [...this.observationPlots, ...this.actionPlots, this.costPlot]) plot.mark(step * dt);
    if (!stage) return;
    const poses = this.poses[this.policy]!;
    if (this.layout === 'overlay') {
      this.solid[0]!.pose(poses[this.rollout]!, this.time);
      this.ghosts.forEach((ghost, i) => poses[i] && ghost.pose(poses[i]!, this.time));
    } else if (this.layout === 'rollouts') {
      poses.forEach((p, i) => this.solid[i]!.pose(p, this.time));
    } else {
      this.poses.forEach((p, i) => this.solid[i]!.pose(p[this.rollout]!, this.time));
    }
    this.moveCamera(this.solid[this.layout === 'rollouts' ? this.rollout : this.layout === 'policies' ? this.policy : 0]!, poses[this.rollout]!, this.time);
    stage.draw();
  }

  // ---- camera

  private follow(on: boolean): void {
    this.following = on;
    this.followButton.setAttribute('aria-pressed', String(on));
    this.show();
  }

  private moveCamera(robot: Robot, poses: ArrayLike<number>, time: number): void {
    if (!this.stage?.ride(robot.bodies) && this.following) this.followTo(poses, time);
  }

  private followTo(poses: ArrayLike<number>, time: number): void {
    const { stage, place } = this;
    if (!stage) return;
    middle(poses, this.page.scene.bodies.length, time, place);
    place.z = stage.controls.target.z;
    stage.follow(place);
  }

  // ---- simulation

  private addPlayer(): void {
    this.player = new Player(this.page, this.numbers, this.stage, this.stageBox, {
      changed: (active) => {
        this.playing = false;
        this.scrubber.disabled = active;
        this.layoutSelect.disabled = active;
        this.plot();
        this.arrange();
        this.buttons();
        this.show();
      },
      ran: () => this.buttons(),
      speed: () => this.speed,
      pose: (poses) => {
        this.solid[0]?.pose(poses, 0);
        if (this.solid[0]) this.moveCamera(this.solid[0], poses, 0);
        this.stage?.draw();
      },
      read: (text) => (this.readout.textContent = text),
      trace: (observation, action, costs, step) => {
        const { task } = this.page;
        const of = (values: Float64Array, width: number, i: number) => column(values, width, i, this.T + 1);
        const before = Math.max(step - 1, 0) * this.dt; // the action that led here
        this.observationPlots.forEach((plot, i) => plot.live([of(observation, task.observation.length, i)], step * this.dt));
        this.actionPlots.forEach((plot, i) => plot.live([of(action, task.actionNames.length, i)], before));
        this.costPlot.live(task.cost.map((_, i) => of(costs, task.cost.length, i)), before);
        this.scrubber.value = String(step);
      },
    });
    this.player.setPolicy(this.policy, this.rollout);
    this.stageBox.parentElement!.append(this.player.element);
  }

  // ---- link and keys

  private saveTimer: number | undefined;

  private saveSoon(): void {
    clearTimeout(this.saveTimer);
    this.saveTimer = setTimeout(() => {
      if (this.playing) return;
      try {
        history.replaceState(null, '', this.hash());
      } catch {
        // pages from disk may not in some browsers; Share still works
      }
    }, 250);
  }

  private hash(): string {
    const parts = [`p=${this.policy}`, `r=${this.rollout}`, `t=${Math.round(this.time)}`, `v=${this.speed}`, `l=${this.layout}`];
    if (this.stage) {
      const round = (v: THREE.Vector3) => v.toArray().map((x) => Number(x.toPrecision(5)));
      parts.push(`c=${[...round(this.stage.camera.position), ...round(this.stage.controls.target)].join(',')}`);
    }
    return `#${parts.join('&')}`;
  }

  private readHash(): void {
    const values = new URLSearchParams(location.hash.slice(1));
    const whole = (name: string, most: number, otherwise: number) => {
      const value = Number(values.get(name) ?? NaN);
      return Number.isInteger(value) && value >= 0 && value <= most ? value : otherwise;
    };
    this.policy = whole('p', this.page.policies.length - 1, this.policy);
    this.rollout = whole('r', this.shown.rollouts.length - 1, this.rollout);
    this.time = whole('t', this.T, this.time);
    const speed = Number(values.get('v'));
    if (speeds.includes(speed)) this.speed = speed;
    const layout = values.get('l') as Layout;
    if ([...this.layoutSelect.options].some((option) => option.value === layout)) this.layout = layout;
    const camera = values.get('c')?.split(',').map(Number);
    if (this.stage && camera?.length === 6 && camera.every(Number.isFinite)) {
      this.stage.camera.position.fromArray(camera);
      this.stage.controls.target.fromArray(camera, 3);
      this.stage.controls.update();
    }
  }

  private async share(button: HTMLButtonElement): Promise<void> {
    const link = location.href.replace(/#.*/, '') + this.hash();
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = 'Copied';
    } catch {
      prompt('Link to this moment', link);
    }
    setTimeout(() => (button.textContent = 'Share'), 1500);
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches('input[type=number], select, dialog *')) return;
    if (target.matches('button') && (event.key === ' ' || event.key === 'Enter')) return;
    const step = event.shiftKey ? 10 : 1;
    const faster = (by: number) => {
      this.speed = speeds[Math.min(Math.max(speeds.indexOf(this.speed) + by, 0), speeds.length - 1)]!;
      this.choose();
    };
    const order = [...this.layoutSelect.options].map((option) => option.value as Layout);
    const actions: Record<string, () => void> = {
      ' ': () => this.play(!(this.playing || this.player?.running)),
      ArrowLeft: () => this.go(Math.round(this.time) - step),
      ArrowRight: () => this.go(Math.round(this.time) + step),
      Home: () => this.go(0),
      End: () => this.go(this.T),
      ArrowUp: () => this.choose({ policy: this.policy - 1 }),
      ArrowDown: () => this.choose({ policy: this.policy + 1 }),
      r: () => this.choose({ rollout: this.rollout + 1 }),
      l: () => {
        this.layout = order[(order.indexOf(this.layout) + 1) % order.length]!;
        this.choose();
      },
      '[': () => faster(-1),
      ']': () => faster(1),
      f: () => this.follow(!this.following),
      c: () => this.stage?.home(),
      s: () => void this.share(document.querySelector('header button')!),
      d: () => setTheme(theme() === 'dark' ? 'light' : 'dark'),
      '?': () => document.querySelector('dialog')!.showModal(),
      j: () => this.player?.push(-1),
      k: () => this.player?.push(1),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** What the page shows, for tests. */
  state(): Record<string, unknown> {
    return {
      policy: this.policy,
      rollout: this.rollout,
      time: this.time,
      playing: this.playing,
      layout: this.layout,
      webgl: this.stage !== null,
      readings: [...this.observationPlots, ...this.actionPlots].map((plot) => Object.values(plot.readings())[0]),
      costs: this.costPlot.readings(),
      player: this.player?.state(),
    };
  }
}

function titled({ text, unit }: Label): string {
  return unit ? `${text}, ${unit}` : text;
}

function policyName(p: ShownPolicy): string {
  if (p.iterations < 0) return 'this policy';
  return p.names.length ? `${p.iterations} (${p.names.join(', ')})` : String(p.iterations);
}

const main = document.getElementById('page')!;
load().then(
  ({ page, numbers }) => {
    (globalThis as Record<string, unknown>).kedgeReplay = new Replay(page, numbers);
  },
  (error: Error) => main.append(make('p', { class: 'panel', role: 'alert' }, `This page cannot be shown: ${error.message}`)),
);
