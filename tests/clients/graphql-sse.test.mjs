import { createClient } from 'graphql-sse';
import { streamContract } from './stream-contract.mjs';
import { credentials, graphqlUrl } from './support.mjs';

streamContract('graphql-sse', () => {
  const client = createClient({
    url: graphqlUrl,
    headers: credentials,
    // The mode of one request per operation, which works through any proxy and on any node.
    singleConnection: false,
    // A retry would hide a broken connection, and ask the question again.
    retryAttempts: 0,
  });
  return {
    iterate: (request) => client.iterate(request),
    close: () => client.dispose(),
  };
});
