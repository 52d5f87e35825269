// The programs that the documents show for the clients of this folder, executed unchanged but
// for the server's address.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { startServer } from './own-server.mjs';
import { TEST_TIMEOUT_MS } from './support.mjs';

const options = { timeout: TEST_TIMEOUT_MS };
const here = new URL('.', import.meta.url);

// Each document with the number of its programs.
const documents = { 'README.md': 2, 'docs/clients.md': 7 };
const textOf = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
const programsOf = (text) => [...text.matchAll(/^```js\n(import .*?)^```$/gms)].map(([, program]) => program);

let server;
before(async () => {
  server = await startServer({});
}, options);
after(() => server?.stop());

for (const [path, count] of Object.entries(documents)) {
  const programs = programsOf(await textOf(path));
  test(`${path} shows ${count} programs`, () => assert.equal(programs.length, count));
  for (const program of programs) {
    const packages = [...program.matchAll(/from '(.*)'/g)].map(([, name]) => name);
    test(`${path}: ${packages.join(', ')}`, options, async () => {
      const { host } = new URL(server.url);
      const { output, code } = await run(program.replaceAll('127.0.0.1:8080', host));
      assert.equal(code, 0, output);
      assert.match(output.replaceAll('undefined', ''), /[a-z]{2}/i, 'it prints the answer');
    });
  }
}

test('docs/clients.md: the settings for GraphQL Code Generator are those of its test', async () => {
  const config = await readFile(new URL('codegen/codegen.ts', here), 'utf8');
  const [generates] = (await textOf('docs/clients.md')).match(/^  generates: \{$.*?^  \},$/ms);
  assert.ok(config.includes(generates));
});

async function run(program) {
  const flags = ['--import', './browser.mjs', '--input-type=module', '-'];
  const node = spawn(process.execPath, flags, { cwd: here, stdio: 'pipe' });
  let output = '';
  for (const stream of [node.stdout, node.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  node.stdin.end(program);
  const [code] = await once(node, 'close');
  return { output, code };
}
