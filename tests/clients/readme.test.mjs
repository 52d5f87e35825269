// The programs that the README shows for the clients of this folder, run as they stand there but
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

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const [, clients] = readme.match(/^## Clients$(.*?)^## /ms);
const programs = [...clients.matchAll(/^```js\n(import .*?)^```$/gms)].map(([, program]) => program);

let server;
before(async () => {
  server = await startServer({});
}, options);
after(() => server?.stop());

test('the README shows a program for each client', () => assert.equal(programs.length, 7));

for (const program of programs) {
  const packages = [...program.matchAll(/from '(.*)'/g)].map(([, name]) => name);
  test(`README: ${packages.join(', ')}`, options, async () => {
    const { host } = new URL(server.url);
    const { output, code } = await run(program.replaceAll('127.0.0.1:8080', host));
    assert.equal(code, 0, output);
    assert.match(output.replaceAll('undefined', ''), /[a-z]{2}/i, 'it prints the answer');
  });
}

test('README: the settings for GraphQL Code Generator are those of its test', async () => {
  const config = await readFile(new URL('codegen/codegen.ts', here), 'utf8');
  const [generates] = clients.match(/^  generates: \{$.*?^  \},$/ms);
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
