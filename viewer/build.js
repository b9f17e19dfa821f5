// Builds the pages: node build.js OUTPUT_FOLDER. Each becomes one HTML file that needs nothing else: scripts, styles and
// the licences of what they are made of are inside. Beside them two files that a replay page gets with --play: MuJoCo's
// loader and its compressed binary.
import { existsSync, readFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? resolve(here, '../build/viewer'));
mkdirSync(out, { recursive: true });

const pages = ['replay', 'live', 'compare'];

// The licences of what is inside a page are inside it too. Packages and their sections of the notices:
const titles = { three: 'three.js', uplot: 'uPlot', '@mujoco/mujoco': 'MuJoCo for the browser' };
const notices = readFileSync(resolve(here, '../THIRD_PARTY_NOTICES.md'), 'utf8');

/** The section of the notices on a package; it must be there, and hold the licence that the package comes with. */
function notice(name) {
  const section = notices.match(new RegExp(`^### ${titles[name]}\n[^]*?(?=^##?#? )`, 'm'))?.[0];
  const own = resolve(here, 'node_modules', name, 'LICENSE');
  if (!section || (existsSync(own) && !section.includes(readFileSync(own, 'utf8').trim())))
    throw new Error(`${name} is in a page, but THIRD_PARTY_NOTICES.md does not have its licence`);
  return section;
}

/** What a page says of its licences, as a comment. */
function comment(open, packages, close) {
  const text = [
    'Made with kedge. Its licence, the Apache License, Version 2.0:\n',
    readFileSync(resolve(here, '../LICENSE'), 'utf8'),
    ...packages.map(notice),
  ].join('\n');
  if (/<\/script|-->|--!>|\*\//i.test(text)) throw new Error('the notices would end their comment');
  return `${open}\n${text}\n${close}\n`;
}

// MuJoCo's loader asks for its binary by address, which the bundler would inline uncompressed; kedge hands it over.
const withoutBinary = {
  name: 'without-binary',
  enforce: 'pre',
  transform: (code, id) =>
    id.includes('@mujoco/mujoco') ? code.replace("new URL('mujoco.wasm', import.meta.url).href", "'mujoco.wasm'") : null,
};

async function bundle(entry) {
  const { output } = await build({
    root: here,
    configFile: false,
    logLevel: 'warn',
    plugins: [withoutBinary],
    build: {
      write: false,
      target: ['chrome90', 'firefox113', 'safari16.4'],
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 2000,
      modulePreload: false,
      rollupOptions: { input: resolve(here, entry), external: ['module'], output: { inlineDynamicImports: true } },
    },
  });
  const text = (file) => (file.type === 'chunk' ? file.code : String(file.source));
  const pick = (ending) => output.filter((file) => file.fileName.endsWith(ending)).map(text).join('\n');
  if (output.some((file) => !/\.(js|css)$/.test(file.fileName)))
    throw new Error(`${entry}: has a part that cannot be inside the page`);
  const modules = output.flatMap((file) => file.moduleIds ?? []).filter((id) => id.includes('/node_modules/'));
  const packages = [...new Set(modules.map((id) => id.match(/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/)[1]))].sort();
  return { script: pick('.js'), style: pick('.css'), packages };
}

for (const page of pages) {
  const { script, style, packages } = await bundle(`src/${page}.ts`);
  if (/<\/script/i.test(script) || /<\/style/i.test(style)) throw new Error(`${page}: would end its own element`);
  const html = readFileSync(resolve(here, `pages/${page}.html`), 'utf8')
    .replace('<!-- style -->', () => `<style>${style}</style>`)
    .replace('<!-- script -->', () => `<script type="module">${script}</script>`);
  writeFileSync(resolve(out, `${page}.html`), html + comment('<!--', packages, '-->'));
}
const mujoco = await bundle('src/mujoco.ts');
writeFileSync(resolve(out, 'mujoco.js'), comment('/*', mujoco.packages, '*/') + mujoco.script);
writeFileSync(resolve(out, 'mujoco.wasm.gz'), gzipSync(readFileSync(resolve(here, 'node_modules/@mujoco/mujoco/mujoco.wasm')), { level: 9 }));
