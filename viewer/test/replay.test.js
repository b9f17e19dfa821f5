// The replay page in headless Chromium, on a run that is trained here: KEDGE=program node --test test/replay.test.js
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, open } from './browser.js';

const kedge = process.env.KEDGE;
const folder = mkdtempSync(join(tmpdir(), 'kedge-replay-'));
const run = join(folder, 'run');
const program = (...args) => execFileSync(kedge, args, { cwd: folder, encoding: 'utf8' });
let browser;

/** A task with every source, norm and kind of step that a cost can have: the double link with sensors. */
const gauges = `
kedge = 1
name = "gauges"
model = "gauges.xml"
horizon = 40
control_step = 0.05
substeps = 2
[actions]
limit = 2.0  # far less than what the policies command
[observation]
parts = ["qpos", "qvel"]
[start]
qpos = [3.0, 0.4]
qpos_spread = 0.1
[[cost]]
name = "links"
of = "qpos"
matrix = [[1, 0], [1, 1]]
target = [0.1, -0.2]
weight = [3, 0.5]
[[cost]]
name = "reach"
of = "sensor:tip"
target = [0, 0, 2]
norm = "smooth"
width = 0.3
steps = ["last 5", "final"]
[[cost]]
name = "speed"
of = "qvel"
weight = [1, 2]
norm = "absolute"
steps = ["3..20", "final"]
[[cost]]
name = "commanded"
of = "action"
matrix = [[1, -2], [0.5, 1], [3, 0]]
[[cost]]
name = "applied"
of = "ctrl"
[[cost]]
name = "force"
of = ["sensor:pull", "sensor:tip"]
matrix = [[1, 0.1, 0, 0.3]]
steps = "first 30"
[success]
of = "qpos"
matrix = [[1, 0], [1, 1]]
target = 0.3
statistic = "mean_abs"
below = 0.1
steps = ["last 20", "final"]
`;
const sensors = '<sensor><framepos name="tip" objtype="site" objname="tip"/><actuatorfrc name="pull" actuator="elbow"/></sensor>';

/** Its folder, ready to train. */
function makeGauges() {
  const tasks = join(dirname(fileURLToPath(import.meta.url)), '../../tasks');
  mkdirSync(join(folder, 'gauges'));
  writeFileSync(join(folder, 'gauges/task.toml'), gauges);
  writeFileSync(join(folder, 'gauges/gauges.xml'), readFileSync(join(tasks, 'double_link/double_link.xml'), 'utf8').replace('</mujoco>', `${sensors}</mujoco>`));
}

/** A dataset of the trajectories file, read by h5py. */
function hdf5(file, name) {
  const script = `import h5py, json, sys; print(json.dumps(h5py.File(sys.argv[1])[sys.argv[2]][()].tolist()))`;
  return JSON.parse(execFileSync('/usr/bin/python3', ['-c', script, join(folder, file), name], { encoding: 'utf8', maxBuffer: 1 << 28 }));
}

async function replay(options = {}, file = 'page.html') {
  const opened = await open(browser, join(folder, file), options);
  await opened.page.waitForFunction(() => 'kedgeReplay' in globalThis, null, { polling: 100 });
  const state = () => opened.page.evaluate(() => globalThis.kedgeReplay.state());
  const finish = async () => {
    await opened.close();
    assert.deepEqual(opened.errors, []);
    assert.deepEqual(opened.requests, []);
  };
  return { ...opened, state, finish };
}

before(async () => {
  program('train', 'double_link', '--seed', '1', '--iterations', '60', '--out', 'run', '--quiet');
  program('replay', 'run', '-o', 'page.html', '--rollouts', '3');
  program('replay', 'run', '-o', 'play.html', '--rollouts', '2', '--iterations', 'first,last', '--play');
  program('evaluate', 'run', '--trajectories', 'last.h5');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

describe('replay', () => {
  test('a page of a run of 100 steps is below 3 MB', () => assert.ok(statSync(join(folder, 'page.html')).size < 3e6));

  test('plots the numbers of the trajectories file', async () => {
    const { page, finish } = await replay();
    const plotted = await page.evaluate(() => {
      const r = globalThis.kedgeReplay;
      return [0, 1, 2].map((n) => {
        r.choose({ rollout: n });
        const lines = (plots) => plots.map((plot) => plot.options.lines.at(-1).y);
        return { observation: lines(r.observationPlots), action: lines(r.actionPlots), cost: r.costPlot.options.lines.map((l) => l.y), return: r.focus.return };
      });
    });
    const file = { observation: hdf5('last.h5', 'observation'), action: hdf5('last.h5', 'action'), cost: hdf5('last.h5', 'cost') };
    const near = (a, b, what) => assert.ok(Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b)), `${what}: ${a} on the page, ${b} in the file`);
    plotted.forEach((rollout, n) => {
      for (const kind of ['observation', 'action'])
        rollout[kind].forEach((values, i) => file[kind][n].forEach((row, t) => near(values[t], row[i], `${kind} ${i} of rollout ${n} at ${t}`)));
      file.cost[n].forEach((cost, t) => near(rollout.cost.reduce((sum, y) => sum + (y[t] ?? 0), 0), cost, `cost of rollout ${n} at ${t}`));
      near(rollout.return, -file.cost[n].reduce((a, b) => a + b, 0), `return of rollout ${n}`);
    });
    await finish();
  });

  test('opens playing, but not where the address names a moment', async () => {
    const opened = await replay();
    await opened.page.waitForFunction(() => globalThis.kedgeReplay.state().time > 3, null, { polling: 50 });
    await opened.finish();
    const moment = await replay({ hash: '#t=11' });
    await moment.page.waitForTimeout(300);
    assert.deepEqual((({ playing, time }) => ({ playing, time }))(await moment.state()), { playing: false, time: 11 });
    await moment.finish();
  });

  test('plays, pauses, scrubs by keys, slider and plots; the picture and the readings follow', async () => {
    const { page, state, finish } = await replay({ hash: '#t=40&v=0.5' });
    const first = await state();
    assert.equal(first.time, 40);
    const marks = await page.locator('.plot .mark').evaluateAll((all) => all.map((mark) => mark.offsetLeft / mark.parentElement.clientWidth));
    assert.ok(marks.length === 7 && marks.every((place) => Math.abs(place - 0.4) < 0.01), `each plot marks the moment: ${marks}`);
    assert.equal(first.webgl, true);
    const picture = () => page.evaluate(() => {
      globalThis.kedgeReplay.stage.render();
      return globalThis.kedgeReplay.stage.canvas.toDataURL();
    });
    const before = await picture();
    await page.keyboard.press('Space');
    await page.waitForFunction(() => globalThis.kedgeReplay.state().time > 44, null, { polling: 50 });
    await page.keyboard.press('Space');
    const paused = await state();
    assert.equal(paused.playing, false);
    assert.notEqual(await picture(), before);
    assert.notDeepEqual(paused.readings, first.readings);
    await page.keyboard.press('Home');
    assert.equal((await state()).time, 0);
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('ArrowRight');
    assert.equal((await state()).time, 11);
    await page.getByLabel('Time step').fill('70');
    assert.equal((await state()).time, 70);
    const box = await page.locator('.plot .u-over').first().boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    assert.ok(Math.abs((await state()).time - 50) <= 1, 'the middle of a plot is the middle of the time');
    const shown = hdf5('last.h5', 'observation')[0][(await state()).time];
    (await state()).readings.slice(0, 4).forEach((text, i) => assert.ok(Math.abs(Number(text) - shown[i]) <= 6e-4 * Math.max(1e-3, Math.abs(shown[i])), `${text} is ${shown[i]}`));
    await finish();
  });

  test('shows policies and rollouts, side by side too; a link opens the same moment', async () => {
    const { page, state, finish } = await replay();
    const policies = await page.locator('[aria-label=Policy] button').allTextContents();
    assert.ok(policies[0].includes('first') && policies.at(-1).includes('last') && policies.some((p) => p.includes('best')), policies.join());
    await page.getByRole('button', { name: policies[0], exact: true }).click();
    await page.getByLabel('Layout').selectOption('policies');
    assert.equal(await page.locator('.stage .label').count(), policies.length);
    await page.getByLabel('Layout').selectOption('rollouts');
    assert.equal(await page.locator('.stage .label').count(), 3);
    await page.locator('.stage .label').nth(2).click();
    await page.getByLabel('Time step').fill('33');
    const here = await state();
    assert.deepEqual([here.policy, here.rollout, here.layout, here.time], [0, 2, 'rollouts', 33]);
    const hash = await page.evaluate(() => globalThis.kedgeReplay.hash());
    await finish();
    const again = await replay({ hash });
    const there = await again.state();
    assert.deepEqual({ ...there, player: null }, { ...here, player: null });
    await again.finish();
  });

  test('without WebGL says so and still plots', async () => {
    const plain = await launch({ webgl: false });
    const opened = await open(plain, join(folder, 'page.html'));
    await opened.page.waitForFunction(() => 'kedgeReplay' in globalThis, null, { polling: 100 });
    assert.match(await opened.page.locator('.message').textContent(), /no WebGL/);
    await opened.page.keyboard.press('End');
    const { readings, webgl } = await opened.page.evaluate(() => globalThis.kedgeReplay.state());
    assert.equal(webgl, false);
    assert.ok(readings.every((text) => text !== ''));
    assert.deepEqual([opened.errors, opened.requests], [[], []]);
    await plain.close();
  });

  test('fits a phone, answers to touch; every control has a name; text stands out in light and dark', async () => {
    const { page, state, finish } = await replay({ width: 360, height: 740, touch: true });
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360, 'nothing is wider than the screen');
    await page.locator('[aria-label=Rollout] button').nth(1).tap();
    assert.equal((await state()).rollout, 1);
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll('button, select, input')].filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label'))).map((e) => e.outerHTML));
    assert.deepEqual(nameless, []);
    for (const theme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: theme });
      const contrasts = await page.evaluate(() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name) => {
          const hex = style.getPropertyValue(name).trim().slice(1);
          const [r, g, b] = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
        const texts = [['--text', '--surface'], ['--muted', '--surface'], ['--muted', '--ground'], ['--text', '--raised'], ['--good', '--surface'], ['--bad', '--surface'], ['--accent-text', '--accent']];
        const lines = ['--c1', '--c2', '--c3', '--c4', '--c5', '--c6'].map((c) => [c, '--surface']);
        return [...texts.map(([a, b]) => [a, b, contrast(a, b), 4.5]), ...lines.map(([a, b]) => [a, b, contrast(a, b), 2.8])];
      });
      for (const [a, b, found, least] of contrasts) assert.ok(found >= least, `${theme}: ${a} on ${b} has contrast ${found.toFixed(2)}, at least ${least}`);
    }
    await finish();
  });

  test('a page whose numbers are damaged says so', async () => {
    const text = readFileSync(join(folder, 'page.html'), 'utf8').replace(/(id="numbers" type="text\/plain">).{40}/, '$1AAAA');
    writeFileSync(join(folder, 'damaged.html'), text);
    const { page, close } = await open(browser, join(folder, 'damaged.html'));
    await page.getByRole('alert').waitFor();
    assert.match(await page.getByRole('alert').textContent(), /cannot be shown/);
    await close();
  });
});

describe('play', () => {
  test('the browser agrees with kedge; the learned policy recovers from a push, the first one does not swing up', async () => {
    const { page, state, finish } = await replay({ width: 900, height: 700 }, 'play.html');
    await page.evaluate(() => [...document.querySelectorAll('button')].find((b) => b.textContent === 'Simulate in this browser').click());
    await page.waitForFunction(() => globalThis.kedgeReplay.state().player.active, null, { polling: 100 });
    const { departure, running } = (await state()).player;
    assert.equal(running, true);
    assert.ok(departure.largest < 1e-6, `MuJoCo in the browser departs by ${departure.largest}`);
    /** Pushed at step `at` by so many times its weight (0: not at all), to the end. */
    const pushed = (at, strength) =>
      page.evaluate(([step, force]) => {
        const player = globalThis.kedgeReplay.player;
        player.run(false);
        player.restart();
        player.strength.value = force;
        while (player.step < step) player.advance();
        if (force > 0) player.push(1);
        player.advance();
        const after = player.state().x;
        player.complete();
        return { ...player.state(), after };
      }, [at, strength]);
    const calm = await pushed(30, 0);
    const hit = await pushed(30, 1);
    const kick = Math.hypot(...hit.after.map((x, i) => x - calm.after[i]));
    assert.ok(kick > 0.2, `the push moves the robot: by ${kick} in a step`);
    assert.ok(calm.success < 0.1 && hit.success < 0.1, `mean angle ${calm.success}, pushed ${hit.success}`);
    assert.match(hit.status, /succeeded/);
    assert.ok(hit.cost > calm.cost);

    // The plots are those of the simulation.
    const plotted = await page.evaluate(() => {
      const { observationPlots, actionPlots, costPlot } = globalThis.kedgeReplay;
      const sum = costPlot.options.lines.flatMap((line) => [...line.y]).reduce((total, y) => total + (Number.isFinite(y) ? y : 0), 0);
      return { labels: [...observationPlots, ...actionPlots].map((plot) => plot.options.lines.at(-1).label), sum, costs: costPlot.readings() };
    });
    assert.deepEqual(new Set(plotted.labels), new Set(['simulated']));
    assert.ok(Math.abs(plotted.sum - hit.cost) <= 1e-9 * hit.cost, `the plot has a cost of ${plotted.sum}, the simulation of ${hit.cost}`);
    for (const text of [...Object.values(plotted.costs), ...(await state()).readings]) assert.match(text, /^-?\d/);

    // Held with the mouse.
    const held = await page.evaluate(() => {
      const { player, stage } = globalThis.kedgeReplay;
      player.restart();
      player.run(false);
      stage.render();
      const [x, y, z] = player.simulation.centre(1);
      const place = stage.camera.position.clone().set(x, y, z).project(stage.camera);
      const box = stage.canvas.getBoundingClientRect();
      return [box.left + (0.5 + place.x / 2) * box.width, box.top + (0.5 - place.y / 2) * box.height];
    });
    await page.mouse.move(...held);
    await page.mouse.down();
    await page.mouse.move(held[0] + 60, held[1] - 20);
    assert.equal(await page.evaluate(() => globalThis.kedgeReplay.player.held?.body), 1);
    await page.mouse.up();
    assert.equal(await page.evaluate(() => globalThis.kedgeReplay.player.held), null);

    await page.keyboard.press('ArrowUp'); // the policy before the first iteration
    assert.ok((await pushed(30, 0)).success > 0.5);
    await finish();
  });

  for (const task of ['gauges', 'walker'])
    test(`costs and success in the browser are kedge's own: ${task}`, async () => {
      if (task === 'gauges') makeGauges();
      program('train', task === 'gauges' ? './gauges' : task, '--seed', '1', '--iterations', '1', '--set', 'rollouts=20', '--out', `run-${task}`, '--quiet');
      program('replay', `run-${task}`, '-o', `${task}.html`, '--rollouts', '1', '--iterations', 'last', '--deterministic', '--play');
      const { page, finish } = await replay({ width: 900, height: 700 }, `${task}.html`);
      await page.evaluate(() => [...document.querySelectorAll('button')].find((b) => b.textContent === 'Simulate in this browser').click());
      await page.waitForFunction(() => globalThis.kedgeReplay.state().player.active, null, { polling: 100 });
      const found = await page.evaluate(() => {
        const { page, numbers, shown, focus, player, costPlot } = globalThis.kedgeReplay;
        const { horizon, nx, cost } = page.task;
        const reference = numbers.doubles(shown.reference); // kedge's states of this rollout
        player.run(false);
        player.restart();
        for (let t = 0; t < horizon; ++t) {
          player.simulation.reset(reference.subarray(t * nx, (t + 1) * nx));
          player.advance();
        }
        const stepped = { costs: Array.from(player.costs), success: player.state().success };
        player.restart();
        player.complete();
        return {
          ...stepped,
          cost,
          horizon,
          own: Array.from(numbers.floats(focus.terms)),
          rollout: focus,
          free: { cost: player.state().cost, plotted: costPlot.options.lines.flatMap((line) => Array.from(line.y)).filter(Number.isFinite).reduce((a, b) => a + b, 0) },
        };
      });
      assert.equal(found.rollout.divergedAt, -1);
      const near = (a, b, what, tolerance = 1e-6) => assert.ok(Math.abs(a - b) <= tolerance * Math.abs(b) + 1e-12, `${what}: ${a} in the browser, ${b} by kedge`);
      found.cost.forEach((term, i) => {
        let compared = 0;
        for (let t = 0; t <= found.horizon; ++t) {
          const at = t * found.cost.length + i;
          if (term.active[t] !== '1') assert.ok(!Number.isFinite(found.costs[at]), `${term.name} does not count at ${t}`);
          else near(found.costs[at], found.own[at], `${term.name} at ${t}`);
          compared += term.active[t] === '1' && found.own[at] > 0;
        }
        assert.ok(compared > 0, `${term.name} costs something`);
      });
      near(found.success, found.rollout.success, 'success');
      near(found.free.cost, -found.rollout.return, 'cost of the whole');
      near(found.free.plotted, -found.rollout.return, 'cost in the plot');
      await finish();
    });
});
