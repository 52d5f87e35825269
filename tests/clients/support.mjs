// Where the server is, and what the client programs ask of it.
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';

const base = process.env.TALKGRAPH_URL;
if (!base) throw new Error('TALKGRAPH_URL is not set; start a server and give its base URL');

export const serverUrl = new URL(base);
export const graphqlUrl = new URL('graphql', new URL('/', serverUrl)).href;
export const websocketUrl = graphqlUrl.replace(/^http/, 'ws');

export const key = process.env.TALKGRAPH_KEY;
export const credentials = key ? { Authorization: `Bearer ${key}` } : {};

// The model behind the server may be a small one on a busy CPU.
export const TEST_TIMEOUT_MS = 300_000;

export const agent = process.env.TALKGRAPH_AGENT ?? 'research';

// A delta that the server has merged from several says where it starts, so that a client can
// see that no sequence number is missing.
const EVENT = `
  __typename
  sequence
  run { id }
  ... on TextDelta { firstSequence delta message { id text } }
  ... on ReasoningDelta { firstSequence }
`;

export const chat = (text) => ({
  query: `subscription Chat($input: ChatInput!) { chat(input: $input) { ${EVENT} } }`,
  variables: { input: { agent, message: { text } } },
});

export const runEvents = (runId, after) => ({
  query: `subscription Resume($runId: ID!, $after: Int) {
    runEvents(runId: $runId, after: $after) { ${EVENT} }
  }`,
  variables: { runId, after },
});

// What an observable gives, for a loop; leaving the loop unsubscribes.
export function fromObservable(observable) {
  let subscription;
  return new ReadableStream({
    start(controller) {
      subscription = observable.subscribe({
        next: (value) => controller.enqueue(value),
        error: (error) => controller.error(error),
        complete: () => controller.close(),
      });
    },
    cancel: () => subscription.unsubscribe(),
  });
}

export async function all(stream) {
  const values = [];
  for await (const value of stream) values.push(value);
  return values;
}

// The test's own time limit bounds the wait.
export async function until(condition) {
  while (!condition()) await setTimeout(1);
}

// A `fetch` that keeps what it sent: the method, the address and the body of each request.
export function recordedFetch() {
  const sent = [];
  const send = (url, init = {}) => {
    const { method = 'GET', body } = init;
    sent.push({ method, url: String(url), body: body && JSON.parse(body) });
    return fetch(url, init);
  };
  return { sent, fetch: send };
}

// What a request brought for a persisted query.
export const carries = ({ body }) =>
  [body?.extensions && 'hash', body?.query && 'text'].filter(Boolean).join(' and ');

// Its text is new each time, so that no server has heard of it.
export const unheardQuery = () => `query Viewer_${randomUUID().replaceAll('-', '')} { viewer { name } }`;
