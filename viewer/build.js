// Builds the pages: node build.js OUTPUT_FOLDER. Each becomes one HTML file that needs nothing else: scripts and styles
// are inside. Beside them two files that a replay page gets with --play: MuJoCo's loader and its compressed binary.
import { readFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? resolve(here, '../build/viewer'));
mkdirSync(out, { recursive: true });

const pages = ['replay', 'live', 'compare'];

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
  return { script: pick('.js'), style: pick('.css') };
}

for (const page of pages) {
  const { script, style } = await bundle(`src/${page}.ts`);
  if (/<\/script/i.test(script) || /<\/style/i.test(style)) throw new Error(`${page}: would end its own element`);
  const html = readFileSync(resolve(here, `pages/${page}.html`), 'utf8')
    .replace('<!-- style -->', () => `<style>${style}</style>`)
    .replace('<!-- script -->', () => `<script type="module">${script}</script>`);
  writeFileSync(resolve(out, `${page}.html`), html);
}
writeFileSync(resolve(out, 'mujoco.js'), (await bundle('src/mujoco.ts')).script);
writeFileSync(resolve(out, 'mujoco.wasm.gz'), gzipSync(readFileSync(resolve(here, 'node_modules/@mujoco/mujoco/mujoco.wasm')), { level: 9 }));
