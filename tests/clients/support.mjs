// Where the server is, and what the client programs ask of it.

const base = process.env.TALKGRAPH_URL;
if (!base) throw new Error('TALKGRAPH_URL is not set; start a server and give its base URL');

export const serverUrl = new URL(base);
export const graphqlUrl = new URL('graphql', new URL('/', serverUrl)).href;
export const websocketUrl = graphqlUrl.replace(/^http/, 'ws');

export const key = process.env.TALKGRAPH_KEY;
export const credentials = key ? { Authorization: `Bearer ${key}` } : {};

// The model behind the server may be a small one on a busy CPU.
export const TEST_TIMEOUT_MS = 300_000;

const AGENT = process.env.TALKGRAPH_AGENT ?? 'research';

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
  variables: { input: { agent: AGENT, message: { text } } },
});

export const runEvents = (runId, after) => ({
  query: `subscription Resume($runId: ID!, $after: Int) {
    runEvents(runId: $runId, after: $after) { ${EVENT} }
  }`,
  variables: { runId, after },
});
