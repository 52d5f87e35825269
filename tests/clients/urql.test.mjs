import assert from 'node:assert/strict';
import { test } from 'node:test';
import { persistedExchange } from '@urql/exchange-persisted';
import { createClient } from 'graphql-ws';
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from 'urql';
import { pipe, toAsyncIterable } from 'wonka';
import WebSocket from 'ws';
import { streamContract } from './stream-contract.mjs';
import {
  TEST_TIMEOUT_MS,
  agent,
  carries,
  credentials,
  graphqlUrl,
  recordedFetch,
  unheardQuery,
  websocketUrl,
} from './support.mjs';

const options = { timeout: TEST_TIMEOUT_MS };

const urql = ({ exchanges = [cacheExchange, fetchExchange], headers, ...settings } = {}) =>
  new Client({
    url: graphqlUrl,
    exchanges,
    fetchOptions: { headers: { ...credentials, ...headers } },
    ...settings,
  });

streamContract('urql, subscriptionExchange', () => {
  const socket = createClient({
    url: websocketUrl,
    webSocketImpl: WebSocket,
    connectionParams: credentials,
    retryAttempts: 0,
  });
  const subscriptions = subscriptionExchange({
    forwardSubscription: (request) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe(request, sink) }),
    }),
  });
  const client = urql({ exchanges: [cacheExchange, fetchExchange, subscriptions] });
  return { iterate: (request) => iterate(client, request), close: () => socket.dispose() };
});

streamContract('urql, fetchSubscriptions over SSE', () => {
  const client = urql({ fetchSubscriptions: true, fetch: fetchStream });
  return { iterate: (request) => iterate(client, request), close: () => {} };
});

streamContract('urql, fetchSubscriptions over multipart', () => {
  const client = urql({
    fetchSubscriptions: true,
    fetch: fetchStream,
    headers: { accept: 'multipart/mixed;subscriptionSpec=1.0, application/json' },
  });
  return { iterate: (request) => iterate(client, request), close: () => {} };
});

test('urql: a query and a mutation over HTTP', options, async () => {
  const client = urql();
  const agents = await client.query('{ agents { nodes { name } } }', {});
  assert.equal(agents.error, undefined);
  assert.ok(agents.data.agents.nodes.some(({ name }) => name === agent));

  const { data, error } = await client.mutation(
    'mutation Ask($input: ChatInput!) { chat(input: $input) { message { text } run { status } } }',
    { input: { agent, message: { text: 'Say hello.' } } },
  );
  assert.equal(error, undefined);
  assert.equal(data.chat.run.status, 'COMPLETED');
  assert.ok(data.chat.message.text.length > 0);
});

test('urql: automatic persisted queries', options, async () => {
  const query = unheardQuery();
  const post = { preferGetForPersistedQueries: false };
  const first = await persisted(query, post);
  assert.deepEqual(first.map(carries), ['hash', 'hash and text'], 'the server asks for the text once');
  const second = await persisted(query, post);
  assert.deepEqual(second.map(carries), ['hash'], 'and any client may then leave it out');
});

test('urql: automatic persisted queries with GET', options, async () => {
  const query = unheardQuery();
  const get = { preferGetForPersistedQueries: true };
  await persisted(query, get);
  const [request, ...more] = await persisted(query, get);
  assert.equal(request.method, 'GET');
  assert.ok(!new URL(request.url).searchParams.has('query'));
  assert.deepEqual(more, []);
});

async function persisted(query, settings) {
  const { sent, fetch } = recordedFetch();
  const client = urql({ fetch, exchanges: [persistedExchange(settings), fetchExchange] });
  const { data, error } = await client.query(query, {});
  assert.equal(error, undefined);
  assert.ok(data.viewer.name);
  return sent;
}

// When urql leaves a stream whose last read brought several events, it leaves the rejection of the
// body that it aborted unhandled, which ends a Node program.
async function fetchStream(url, init) {
  const response = await fetch(url, init);
  return Object.defineProperty(response, 'body', { value: untilAborted(response.body, init.signal) });
}

async function* untilAborted(body, signal) {
  try {
    yield* body;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

// urql gives the last data once more when a stream ends or is kept alive, and calls a stream
// without results "No Content".
async function* iterate(client, { query, variables }) {
  let last;
  for await (const { data, error } of pipe(client.subscription(query, variables), toAsyncIterable)) {
    if (error?.networkError?.message === 'No Content') return;
    if (error || data !== last) yield { data, errors: error?.message };
    last = data;
  }
}
