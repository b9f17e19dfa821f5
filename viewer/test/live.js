// kedge view in a browser: node live.js KEDGE
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { launch, newPage } from './browser.js';
import { csv, folder, kedge, start, train } from './program.js';

train('a', 1, 8);
train('b', 2, 5);
const { child, line: address } = await start('view', 'a', 'b');
const browser = await launch({ webgl: false });

async function open({ width = 1280, height = 900, dark = false } = {}) {
  const page = await newPage(browser, { viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' });
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('request', (request) => request.url().startsWith(address) || request.url().startsWith('data:') || errors.push(`asked for ${request.url()}`));
  await page.goto(address);
  await rows(page, 13);
  return { page, errors, close: () => page.context().close() };
}
/** Waits until so many rows have been read, of all runs together. */
const rows = (page, count) => page.waitForFunction((n) => document.querySelector('[role=status]')?.dataset.iterations === String(n), count);
const read = (page, run) => page.evaluate((i) => globalThis.kedge.runs[i], run);

test('shows the numbers of the files', async () => {
  const { page, errors, close } = await open();
  for (const [i, name] of ['a', 'b'].entries()) {
    const run = await read(page, i);
    const metrics = csv(`${name}/metrics.csv`);
    assert.deepEqual(run.metrics, metrics);
    assert.deepEqual(run.timings, csv(`${name}/timings.csv`));
    assert.equal(run.summary.state, 'finished');
    assert.equal(run.summary.options.rollouts, 6);
  }
  assert.deepEqual((({ columns, rows }) => ({ columns, rows }))((await read(page, 0)).steps), csv('a/steps.csv'));

  await page.getByText('All numbers of iteration 7').click();
  const { columns, rows: values } = csv('a/metrics.csv');
  for (const [k, name] of columns.entries())
    if (values.at(-1)[k] !== null) assert.equal(Number(await page.locator(`[data-name="${name}"]`).first().getAttribute('data-value')), values.at(-1)[k]);

  // What the reader points at is read from the curve.
  const over = page.locator('.wide .u-over').first();
  const box = await over.boundingBox();
  await page.mouse.move(box.x + box.width - 1, box.y + 20);
  const shown = await page.locator('.wide .key b').first().textContent();
  const median = values.at(-1)[columns.indexOf('return_median')];
  assert.ok(Math.abs(Number(shown.replace('−', '-')) - median) <= 0.005 * Math.abs(median), `${shown} is not ${median}`);
  assert.deepEqual(errors, []);
  await close();
});

test('draws the runs of one task at a time, listed by task', async () => {
  kedge('train', 'quad_link', '--iterations', '2', '--out', 'c', '--set', 'task.horizon=20', '--set', 'rollouts=4', '--set', 'window=2', '-q');
  const both = await start('view', 'a', 'c', 'b');
  const page = await newPage(browser);
  await page.goto(both.line);
  await rows(page, 15);
  assert.deepEqual(await page.locator('.runs .task').allTextContents(), ['double_link', 'quad_link']);
  assert.deepEqual(await page.locator('.runs .name').allTextContents(), ['a', 'b', 'c']);
  const drawn = () => page.locator('.wide').first().locator('.key').evaluateAll((keys) => keys.map((key) => key.title));
  assert.deepEqual(await drawn(), ['a', 'b']);
  await page.locator('.runs .name', { hasText: 'c' }).click();
  assert.deepEqual(await drawn(), ['c']);
  await page.keyboard.press('k'); // the one above in the list
  assert.equal(await page.locator('.runs .name[aria-pressed=true]').textContent(), 'b');
  await page.context().close();
  both.child.kill('SIGINT');
});

test('shows the replay of the newest policy', async () => {
  const drawing = await launch();
  const page = await newPage(drawing);
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('request', (request) => request.url().startsWith(address) || /^(data|blob):/.test(request.url()) || errors.push(`asked for ${request.url()}`));
  const response = await page.goto(`${address}runs/0/replay`);
  assert.equal(response.status(), 200);
  await page.getByText('shoulder, rad', { exact: true }).first().waitFor();
  assert.deepEqual(errors, []);
  await drawing.close();
});

test('says which runs are damaged, and what an algorithm does not report', async () => {
  train('plain', 1, 2, '--algorithm', 'ilqr');
  train('cut', 1, 3);
  const whole = readFileSync(join(folder, 'cut/metrics.csv'), 'utf8');
  writeFileSync(join(folder, 'cut/metrics.csv'), whole.slice(0, whole.length / 2));
  const other = await start('view', 'a', 'plain', 'cut');
  const page = await newPage(browser);
  await page.goto(other.line);
  await page.locator('.run').nth(2).waitFor();
  await page.locator('.run .state.damaged').waitFor();
  assert.deepEqual(await page.locator('.run .state').allTextContents(), ['finished', 'finished', 'damaged']);
  assert.match(await page.locator('.run').nth(2).textContent(), /metrics\.csv/);

  const steps = page.locator('section[aria-label="Last update, by time step"]');
  await steps.locator('canvas').first().waitFor();
  await page.keyboard.press('j');
  await steps.getByText('ilqr reports no numbers by time step').waitFor();
  assert.equal(await steps.locator('canvas:visible').count(), 0, 'the numbers of another run are not left there');
  assert.ok((await page.locator('section[aria-label="Time of an iteration, by phase"] canvas:visible').count()) > 0);
  await page.close();
  other.child.kill('SIGINT');
});

test('works by keyboard, in the dark, and on a telephone', async () => {
  const { page, errors, close } = await open({ width: 390, height: 844, dark: true });
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await theme(), 'dark');
  await page.keyboard.press('d');
  assert.equal(await theme(), 'light');
  await page.keyboard.press('j');
  assert.equal(await page.locator('.run[data-chosen=true] .name').textContent(), 'b');
  await page.keyboard.press(' ');
  assert.equal(await page.locator('.run input').nth(1).isChecked(), false);
  await page.keyboard.press('x');
  assert.equal(await page.locator('select').nth(1).inputValue(), 'iterations');
  await page.keyboard.press('?');
  assert.ok(await page.locator('dialog').isVisible());
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `the page is ${width} wide`);
  assert.deepEqual(errors, []);
  await close();
});

test('lets no other origin read, and runs no other program', async () => {
  const other = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<p>other</p>')).listen(0, '127.0.0.1');
  const page = await newPage(browser);
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const result = await page.evaluate(async (url) => {
    const outcomes = [];
    for (const mode of ['cors', 'no-cors']) outcomes.push(await fetch(url, { mode }).then(() => 'answered', () => 'refused'));
    return outcomes;
  }, `${address}api/runs`);
  assert.deepEqual(result, ['refused', 'refused']);
  await page.close();
  other.close();

  const { page: live, close } = await open();
  const ran = await live.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'globalThis.foreign = true';
    document.body.append(script);
    return 'foreign' in globalThis;
  });
  assert.equal(ran, false);
  await close();
});

test('streams new iterations, and says when the server has ended', async () => {
  const { page, errors, close } = await open();
  kedge('resume', 'a', '--iterations', '12', '--quiet', '--threads', '1');
  await rows(page, 17);
  assert.deepEqual((await read(page, 0)).metrics, csv('a/metrics.csv'));
  assert.deepEqual(errors, []);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  assert.equal(await ended, 0);
  await page.waitForFunction(() => document.querySelector('[role=status]').textContent.includes('has ended'));
  assert.equal((await read(page, 0)).metrics.rows.length, 12);
  await close();
  await browser.close();
});
