// Runs kedge, in a folder of its own that is removed at the end.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after } from 'node:test';
import { join, resolve } from 'node:path';

export const program = resolve(process.argv[2]);
export const folder = mkdtempSync(join(tmpdir(), 'kedge-pages-'));
const running = [];

const end = () => running.forEach((child) => child.kill('SIGKILL'));
// A test that failed may have left servers and browsers: they must not keep this process.
after(() => {
  end();
  setTimeout(() => process.exit(), 60_000).unref();
});
process.on('exit', () => {
  end();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs to the end. Throws if that is not a good one. */
export function kedge(...words) {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`kedge ${words.join(' ')}: ${status} ${stderr}`);
  return stdout;
}

/** A training of a moment. */
export const train = (out, seed, iterations, ...more) =>
  kedge('train', 'double_link', '--quiet', '--threads', '1', '--seed', String(seed), '--iterations', String(iterations), '--set',
    'task.horizon=30', ...(more.includes('ilqr') ? [] : ['--set', 'rollouts=6']), '--out', out, ...more);

/** Starts a process; resolves with it and the first line that it prints. */
export function start(...words) {
  const child = spawn(program, words, { cwd: folder });
  running.push(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      if (text.includes('\n')) resolve({ child, line: text.split('\n')[0] });
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`kedge ${words.join(' ')} ended with ${code}`)));
  });
}

/** A CSV file of numbers as the pages get it: {columns, rows}, null for what is not finite. */
export function csv(file) {
  const [head, ...lines] = readFileSync(join(folder, file), 'utf8').trim().split('\n');
  const numbers = (line) => line.split(',').map((word) => (Number.isFinite(Number(word)) ? Number(word) : null));
  return { columns: head.split(','), rows: lines.map(numbers) };
}
