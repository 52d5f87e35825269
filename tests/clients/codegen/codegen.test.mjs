// GraphQL Code Generator and Apollo's manifest tool make types and manifests out of schema.graphql
// and src/; the compiled program then speaks to a server in text and, where only trusted documents
// are let in, in ids.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { createPersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { generatePersistedQueryIdsFromManifest } from '@apollo/persisted-query-lists';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { ownAgent, startServer } from '../own-server.mjs';
import {
  TEST_TIMEOUT_MS,
  agent,
  all,
  carries,
  credentials,
  fromObservable,
  graphqlUrl,
  recordedFetch,
} from '../support.mjs';

const options = { timeout: TEST_TIMEOUT_MS };
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const manifests = here('generated/graphql');
const QUESTION = 'Say hello.';
const NOT_LISTED = 'PERSISTED_QUERY_NOT_IN_LIST';

let program;
let transport;

before(async () => {
  await rm(here('generated'), { recursive: true, force: true });
  await run('graphql-codegen', '--config', 'codegen.ts');
  await run('generate-persisted-query-manifest');
  await run('tsc', '--project', '.');
  program = await import('./generated/js/src/program.js');
  transport = await import('./generated/js/src/transport.js');
}, options);

test('codegen: the typed program speaks to the server in text', options, async () => {
  await speak(transport.connect(graphqlUrl, credentials, transport.byText), agent);
});

test('trusted documents', options, async (t) => {
  const server = await startServer({
    TALKGRAPH_DOCUMENTS__TRUSTED_DOCUMENTS: 'only',
    TALKGRAPH_DOCUMENTS__MANIFEST: manifests,
  });
  t.after(() => server.stop());
  const url = new URL('graphql', server.url).href;
  await t.test("codegen's manifest: its operations run by their ids", options, async () => {
    await speak(transport.connect(url, {}, transport.byId), ownAgent);
  });
  await t.test("codegen's manifest: a query runs by GET", options, () => agentsByGet(url));
  await t.test("Apollo's manifest: its operations run by their ids", options, () => speakThroughApollo(url));
  await t.test('what is in neither is refused', options, () => refused(url));
});

async function speak(server, agent) {
  assert.ok((await program.agentNames(server)).includes(agent));
  assert.ok((await program.ask(server, agent, QUESTION)).length > 0);
  const texts = await all(program.watch(server, agent, QUESTION));
  assert.ok(texts.length > 1, 'the answer came in pieces');
  for (const [place, text] of texts.slice(1).entries()) assert.ok(text.startsWith(texts[place]));
}

async function speakThroughApollo(uri) {
  const { sent, fetch } = recordedFetch();
  const loadManifest = () => manifest('persisted-query-manifest.json');
  const ids = generatePersistedQueryIdsFromManifest({ loadManifest });
  const link = createPersistedQueryLink(ids).concat(new HttpLink({ uri, fetch }));
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const variables = { input: { agent: ownAgent, message: { text: QUESTION } } };

  const { data: listed } = await client.query({ query: gql(`${program.Agents}`) });
  assert.ok(listed.agents.nodes.some(({ name }) => name === ownAgent));
  const { data: asked } = await client.mutate({ mutation: gql(`${program.Ask}`), variables });
  assert.equal(asked.chat.run.status, 'COMPLETED');
  const watching = client.subscribe({ query: gql(`${program.Watch}`), variables });
  const results = await all(fromObservable(watching));
  assert.equal(results.at(-1).data.chat.__typename, 'RunCompleted');
  assert.deepEqual(sent.map(carries), ['hash', 'hash', 'hash']);
  client.stop();
}

async function agentsByGet(url) {
  const documents = await manifest('persisted-documents.json');
  const documentId = Object.keys(documents).find((id) => documents[id].startsWith('query Agents'));
  const query = new URLSearchParams({ documentId });
  const headers = { accept: 'application/graphql-response+json' };
  const { data, errors } = await (await fetch(`${url}?${query}`, { headers })).json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  assert.deepEqual(data.agents.nodes.map(({ name }) => name), [ownAgent]);
}

async function refused(url) {
  const query = '{ viewer { name } }';
  const sha256Hash = createHash('sha256').update(query).digest('hex');
  assert.equal(await codeOf(url, { query }), NOT_LISTED);
  assert.equal(await codeOf(url, { documentId: 'sha256:0000' }), NOT_LISTED);
  // Whoever can hash a text is not trusted for it.
  const extensions = { persistedQuery: { version: 1, sha256Hash } };
  assert.equal(await codeOf(url, { query, extensions }), NOT_LISTED);

  const socket = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
  });
  // graphql-ws gives what the server says before it executes anything as an error of the loop.
  await assert.rejects(all(socket.iterate({ query })), ([error]) => error.extensions.code === NOT_LISTED);
  await socket.dispose();
}

async function codeOf(url, request) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify(request),
  });
  const { data, errors } = await response.json();
  assert.equal(data, undefined);
  return errors[0].extensions.code;
}

const manifest = async (file) => JSON.parse(await readFile(join(manifests, file), 'utf8'));

// A program of node_modules, in this folder; what it printed is told when it fails.
function run(name, ...args) {
  const file = here(`../node_modules/.bin/${name}`);
  return promisify(execFile)(file, args, { cwd: here('.') }).catch((error) => {
    throw new Error(`${error.message}\n${error.stdout}`);
  });
}
