// kedge compare --html in a browser, from disk: node compare.js KEDGE
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { launch, open } from './browser.js';
import { folder, kedge, train } from './program.js';

for (const seed of [1, 2, 3]) {
  train(`with-${seed}`, seed, 6);
  train(`without-${seed}`, seed, 6, '--set', 'entropy_constraint=false');
}
const directories = [1, 2, 3].flatMap((seed) => [`with-${seed}`, `without-${seed}`]);
const printed = kedge('compare', ...directories, '--html', 'page.html', '--csv', 'curves.csv', '--threads', '1');
const file = join(folder, 'page.html');
const browser = await launch({ webgl: false });

test('has the numbers of the program', async () => {
  const { page, errors, requests, close } = await open(browser, file);
  const comparison = JSON.parse(await page.locator('#comparison').evaluate((e) => e.textContent));
  const [head, ...lines] = readFileSync(join(folder, 'curves.csv'), 'utf8').trim().split('\n').map((line) => line.split(','));
  assert.equal(lines.length, 12);
  for (const line of lines) {
    const row = Object.fromEntries(head.map((name, k) => [name, line[k]]));
    const group = comparison.groups.find((g) => g.label === row.group);
    const k = group.curve.iteration.indexOf(Number(row.iteration));
    for (const name of head.slice(4)) assert.equal(group.curve[name][k], Number(row[name]), name);
  }
  const final = comparison.groups[0].final;
  assert.equal(Number(printed.match(/return median (\S+) over 3 runs/)[1]), Number(final.median.value.toPrecision(4)));
  const cells = await page.locator('section[aria-label^="Final policies"] tbody tr').first().locator('td').allTextContents();
  assert.equal(cells[1], '3');
  const shown = cells[2].match(/^(\S+) \[(\S+), (\S+)\]$/).slice(1).map(Number);
  for (const [k, value] of [final.iqm.value, final.iqm.low, final.iqm.high].entries())
    assert.ok(Math.abs(shown[k] - value) <= 0.005 * Math.abs(value), `${cells[2]} is not ${value}`);
  const settings = await page.locator('section[aria-label="Settings that differ"] tbody').first().locator('tr').allTextContents();
  assert.deepEqual(settings, ['algorithmmotomoto', 'entropy_constrainttruefalse']);
  assert.deepEqual([errors, requests], [[], []]);
  await close();
});

test('gives its curves as a table and as a picture', async () => {
  const { page, errors, close } = await open(browser, file);
  const given = async (name) => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name, exact: true }).click()]);
    return [download.suggestedFilename(), readFileSync(await download.path(), 'utf8')];
  };
  const [table, csv] = await given('CSV');
  assert.equal(table, 'double_link-curves.csv');
  const [head, ...lines] = csv.trim().split('\n');
  assert.equal(lines.length, 12);
  const comparison = JSON.parse(await page.locator('#comparison').evaluate((e) => e.textContent));
  const median = head.split(',').indexOf('median');
  assert.equal(Number(lines[0].split(',')[median]), comparison.groups[0].curve.median[0]);
  const [picture, svg] = await given('SVG');
  assert.equal(picture, 'double_link-curves.svg');
  const drawn = await page.evaluate((text) => {
    const root = new DOMParser().parseFromString(text, 'image/svg+xml');
    const points = [...root.querySelectorAll('polyline')].map((line) => line.getAttribute('points').split(' ').map((p) => p.split(',').map(Number)));
    return { error: root.querySelector('parsererror') !== null, points, bands: root.querySelectorAll('polygon').length, words: [...root.querySelectorAll('text')].map((t) => t.textContent) };
  }, svg);
  assert.equal(drawn.error, false);
  assert.equal(drawn.bands, 2);
  assert.deepEqual(drawn.points.map((line) => line.length), [6, 6]);
  for (const [x, y] of drawn.points.flat()) assert.ok(x >= 59 && y >= 23 && Number.isFinite(x + y), `${x}, ${y} is inside the axes`);
  const better = comparison.groups.map((g) => g.curve.median.at(-1));
  const height = drawn.points.map((line) => line.at(-1)[1]);
  assert.equal(better[0] > better[1], height[0] < height[1], 'the better curve ends above the other');
  for (const word of ['rollouts', comparison.groups[0].label]) assert.ok(drawn.words.includes(word), word);
  assert.deepEqual(errors, []);
  await close();
});

test('bands have no holes where other groups have points', async () => {
  for (const seed of [1, 2]) train(`few-${seed}`, seed, 6, '--set', 'rollouts=5');
  kedge('compare', 'with-1', 'with-2', 'few-1', 'few-2', '--html', 'bands.html', '--threads', '1');
  const { page, close } = await open(browser, join(folder, 'bands.html'));
  const share = await page.locator('.plot canvas').first().evaluate((canvas) => {
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    const pale = (x) => Array.from({ length: height }, (_, y) => data[4 * (y * width + x) + 3]).filter((alpha) => alpha > 30 && alpha < 100).length > 3;
    const columns = Array.from({ length: width }, (_, x) => x).filter((x) => x > 0.1 * width && x < 0.95 * width);
    return columns.filter(pale).length / columns.length;
  });
  assert.ok(share > 0.95, `there is a band over ${share} of the axis`);
  await close();
});

test('works with other choices, in the dark, and on a telephone', async () => {
  const { page, errors, requests, close } = await open(browser, file, { width: 390, height: 844, dark: true, touch: true });
  for (const [label, value] of [['over seeds', 'iqm'], ['band', 'quartiles'], ['over', 'iteration']])
    await page.getByLabel(label, { exact: true }).selectOption(value);
  await page.getByLabel('single runs').check();
  await page.locator('.groups input').first().uncheck();
  await page.getByText('Curves in numbers').tap();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `the page is ${width} wide`);
  assert.deepEqual([errors, requests], [[], []]);
  await close();
  await browser.close();
});
