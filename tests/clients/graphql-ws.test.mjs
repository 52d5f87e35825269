import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { streamContract } from './stream-contract.mjs';
import { credentials, websocketUrl } from './support.mjs';

streamContract('graphql-ws', () => {
  const client = createClient({
    url: websocketUrl,
    webSocketImpl: WebSocket,
    connectionParams: credentials,
    // A retry would hide a broken connection, and ask the question again.
    retryAttempts: 0,
  });
  return {
    iterate: (request) => client.iterate(request),
    close: () => client.dispose(),
  };
});
