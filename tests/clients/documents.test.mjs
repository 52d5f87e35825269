// The programs that the documents show for the clients of this folder, executed unchanged but
// for the server's address, and the operations that they show, validated.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Kind, buildSchema, parse, validate } from 'graphql';
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

test('the operations that the documents show are valid', async () => {
  const schema = buildSchema(await textOf('schema.graphql'));
  const pages = (await readdir(new URL('../../docs/', import.meta.url))).filter((name) => name.endsWith('.md'));
  let count = 0;
  for (const path of ['README.md', ...pages.map((name) => `docs/${name}`)]) {
    for (const [, block] of (await textOf(path)).matchAll(/^```graphql\n(.*?)^```$/gms)) {
      // Selections on their own show a part of an operation.
      if (block.startsWith('...')) continue;
      for (const definition of parse(block).definitions) {
        const errors = validate(schema, { kind: Kind.DOCUMENT, definitions: [definition] });
        assert.deepEqual(errors.map(({ message }) => message), [], `${path}:\n${block}`);
        count += 1;
      }
    }
  }
  assert.ok(count > 20, `only ${count} operations`);
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
