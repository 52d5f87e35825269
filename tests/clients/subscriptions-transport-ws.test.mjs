// The client behind Apollo's `WebSocketLink`, and what people used before graphql-ws; its WebSocket
// subprotocol is nevertheless called `graphql-ws`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SubscriptionClient } from 'subscriptions-transport-ws';
import WebSocket from 'ws';
import { streamContract } from './stream-contract.mjs';
import { TEST_TIMEOUT_MS, all, credentials, fromObservable, websocketUrl } from './support.mjs';

const options = { timeout: TEST_TIMEOUT_MS };

const connect = () =>
  new SubscriptionClient(websocketUrl, { connectionParams: credentials, reconnect: false }, WebSocket);

streamContract('subscriptions-transport-ws', () => {
  const client = connect();
  return { iterate: (request) => fromObservable(client.request(request)), close: () => client.close() };
});

test('subscriptions-transport-ws: several operations share a connection', options, async (t) => {
  const client = connect();
  t.after(() => client.close());
  const acknowledged = new Promise((resolve) => client.onConnected(resolve));
  const [viewer, server] = await Promise.all([
    first(client, 'query Viewer { viewer { name } }'),
    first(client, 'query Server { server { version } }'),
  ]);
  await acknowledged;
  assert.ok(viewer.data.viewer.name);
  assert.ok(server.data.server.version);
});

test('subscriptions-transport-ws: a wrong document is an error of its operation', options, async (t) => {
  const client = connect();
  t.after(() => client.close());
  await assert.rejects(first(client, '{ nobodyHasThisField }'), {
    message: /nobodyHasThisField/,
    extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
  });
  const { data } = await first(client, '{ viewer { name } }');
  assert.ok(data.viewer.name, 'and the connection goes on');
});

// The result of a query; the operation has to complete after it.
async function first(client, query) {
  const results = await all(fromObservable(client.request({ query })));
  assert.equal(results.length, 1);
  return results[0];
}
