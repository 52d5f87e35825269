// The programs in examples/, each against a server of this test, with a connection that breaks.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from './own-server.mjs';
import { TEST_TIMEOUT_MS } from './support.mjs';

const options = { timeout: TEST_TIMEOUT_MS };
const example = (path) => fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));
const text = 'Say "hello" and\nname a colour.';

let server;
before(async () => {
  server = await startServer({});
}, options);
after(() => server?.stop());

const programs = {
  curl: [example('curl/chat.sh')],
  apollo: [process.execPath, example('apollo/chat.mjs')],
};
for (const [name, command] of Object.entries(programs)) {
  test(`examples/${name} prints an answer`, options, async () => {
    const { code, output, errors } = await run([...command, text]);
    assert.equal(code, 0, errors);
    assert.match(output, /[a-z]{2}/i);
    assert.equal(errors, '');
  });

  test(`examples/${name} resumes a run`, options, async () => {
    const { code, output, errors } = await run([...command, '--break-after', '3', text]);
    assert.equal(code, 0, errors);
    assert.match(output, /[a-z]{2}/i);
    assert.match(errors, /^resuming run_[a-z0-9]+ after event 3\n$/);
  });
}

async function run([program, ...rest]) {
  const env = { ...process.env, TALKGRAPH_URL: new URL(server.url).origin, TALKGRAPH_KEY: '' };
  const child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => (output += piece));
  child.stderr.setEncoding('utf8').on('data', (piece) => (errors += piece));
  const [code] = await once(child, 'close');
  return { code, output, errors };
}
