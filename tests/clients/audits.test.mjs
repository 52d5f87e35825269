// The GraphQL-over-HTTP specification, as the audits of graphql-http read it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { TEST_TIMEOUT_MS, credentials, graphqlUrl } from './support.mjs';

// A recommendation that is not followed fails too: warnings and notices are not `ok`.
const audits = serverAudits({ url: graphqlUrl, fetchFn: authorized });

test('graphql-http: all audits are run', () => assert.equal(audits.length, 61));

for (const { id, name, fn } of audits) {
  test(`graphql-http ${id}: ${name}`, { timeout: TEST_TIMEOUT_MS }, async () => {
    const { status, reason } = await fn();
    assert.equal(status, 'ok', reason);
  });
}

function authorized(url, init = {}) {
  return fetch(url, { ...init, headers: { ...credentials, ...init.headers } });
}
