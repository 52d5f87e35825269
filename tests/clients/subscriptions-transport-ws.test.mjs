import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SubscriptionClient } from 'subscriptions-transport-ws';
import WebSocket from 'ws';
import { streamContract } from './stream-contract.mjs';
import { TEST_TIMEOUT_MS, credentials, websocketUrl } from './support.mjs';

// The client behind Apollo's `WebSocketLink`, and what people used before graphql-ws.
streamContract('subscriptions-transport-ws', open);

test('subscriptions-transport-ws: what is not valid fails', { timeout: TEST_TIMEOUT_MS }, async () => {
  const client = open();
  try {
    const failure = await client.iterate({ query: '{ nothing }' }).next().catch((error) => error);
    assert.match(failure.message, /nothing/);
    assert.ok(failure.extensions.code, 'it has a code');
    // The connection goes on.
    const { value } = await client.iterate({ query: '{ viewer { owner } }' }).next();
    assert.ok(value.data.viewer.owner);
  } finally {
    client.close();
  }
});

function open() {
  const options = { connectionParams: credentials, reconnect: false };
  const client = new SubscriptionClient(websocketUrl, options, WebSocket);
  return {
    iterate: (request) => results(client.request(request)),
    close: () => client.close(),
  };
}

// The results of an observable, one after the other.
async function* results(observable) {
  const seen = [];
  let wake = () => {};
  let over = false;
  let failure;
  const subscription = observable.subscribe({
    next(result) {
      seen.push(result);
      wake();
    },
    error(error) {
      failure = error;
      wake();
    },
    complete() {
      over = true;
      wake();
    },
  });
  try {
    while (true) {
      while (seen.length > 0) yield seen.shift();
      if (failure) throw failure;
      if (over) return;
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    subscription.unsubscribe();
  }
}
