// Builds `dist/`, which the server embeds. `node build.mjs --check` builds in memory and fails
// when the committed files differ, so that nobody ships a bundle that its sources do not make.
import { gzipAsync } from '@gfx/zopfli';
import * as esbuild from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { contentSecurityPolicy } from './csp.mjs';
import { licences } from './licences.mjs';
import { assertEveryRuleUsed, slim } from './slim.mjs';

const root = fileURLToPath(new URL('.', import.meta.url));
const dist = new URL('dist/', import.meta.url);

const common = {
  absWorkingDir: root,
  bundle: true,
  define: { 'process.env.NODE_ENV': '"production"' },
  format: 'iife',
  jsx: 'automatic',
  legalComments: 'none',
  loader: { '.ttf': 'dataurl' },
  metafile: true,
  minify: true,
  outdir: 'out',
  plugins: [slim],
  target: 'es2022',
  write: false,
};

const TYPES = { css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8' };

async function build() {
  const results = await Promise.all([
    esbuild.build({ ...common, entryPoints: { app: 'src/main.jsx' } }),
    esbuild.build({ ...common, entryPoints: { worker: 'src/worker.js' } }),
  ]);

  assertEveryRuleUsed();

  const files = new Map();
  const assets = [];
  const add = (file, bytes, asset) => {
    files.set(file, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    assets.push({ ...asset, file, sha256 });
  };

  const page = await readFile(new URL('src/index.html', import.meta.url));
  add('index.html', page, { path: '/', content_type: 'text/html; charset=utf-8' });
  for (const { path, contents } of results.flatMap((r) => r.outputFiles)) {
    const name = path.split(/[\\/]/).at(-1);
    // Zopfli in WebAssembly gives the same bytes on every machine; zlib does not, and is larger.
    const compressed = await gzipAsync(contents, { numiterations: 5 });
    add(`${name}.gz`, compressed, {
      path: `/graphiql/${name}`,
      content_type: TYPES[name.split('.').at(-1)],
      content_encoding: 'gzip',
    });
  }

  files.set('manifest.json', Buffer.from(`${JSON.stringify({ assets }, null, 2)}\n`));
  files.set('csp.txt', Buffer.from(contentSecurityPolicy));
  files.set('LICENSES.txt', Buffer.from(await licences(results.map((r) => r.metafile), root)));
  return files;
}

async function differing(files) {
  const names = [];
  for (const [name, bytes] of files) {
    const committed = await readFile(new URL(name, dist)).catch(() => undefined);
    if (!committed?.equals(bytes)) names.push(name);
  }
  return names;
}

const files = await build();
if (process.argv.includes('--check')) {
  const stale = await differing(files);
  if (stale.length > 0) {
    console.error(`not what the sources build: ${stale.join(', ')}; run \`npm run build\``);
    process.exit(1);
  }
  console.log('dist/ is what the sources build');
} else {
  await rm(dist, { recursive: true, force: true });
  await mkdir(dist);
  for (const [name, bytes] of files) {
    await writeFile(new URL(name, dist), bytes);
    console.log(`${String(bytes.length).padStart(8)}  ${name}`);
  }
}
