import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { createPersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { streamContract } from './stream-contract.mjs';
import {
  TEST_TIMEOUT_MS,
  agent,
  carries,
  chat,
  credentials,
  fromObservable,
  graphqlUrl,
  recordedFetch,
  runEvents,
  unheardQuery,
  until,
  websocketUrl,
} from './support.mjs';

const options = { timeout: TEST_TIMEOUT_MS };
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

const apollo = (link) => new ApolloClient({ link, cache: new InMemoryCache() });
const httpLink = (settings) => new HttpLink({ uri: graphqlUrl, headers: credentials, ...settings });

streamContract('Apollo Client, GraphQLWsLink', () => {
  const socket = createClient({
    url: websocketUrl,
    webSocketImpl: WebSocket,
    connectionParams: credentials,
    retryAttempts: 0,
  });
  const client = apollo(new GraphQLWsLink(socket));
  return { iterate: (request) => iterate(client, request), close: () => socket.dispose() };
});

streamContract('Apollo Client, multipart', () => {
  const client = apollo(httpLink());
  return { iterate: (request) => iterate(client, request), close: () => client.stop() };
});

test('Apollo Client: a query and a mutation over HTTP', options, async () => {
  const client = apollo(httpLink());
  const agents = await client.query({ query: gql`{ agents { nodes { name } } }` });
  assert.ok(agents.data.agents.nodes.some(({ name }) => name === agent));

  const { data } = await client.mutate({
    mutation: gql`
      mutation Ask($input: ChatInput!) { chat(input: $input) { message { text } run { status } } }
    `,
    variables: { input: { agent, message: { text: 'Say hello.' } } },
  });
  assert.equal(data.chat.run.status, 'COMPLETED');
  assert.ok(data.chat.message.text.length > 0);
  client.stop();
});

test('Apollo Client: the normalised cache shows the text so far', options, async (t) => {
  const client = apollo(httpLink());
  t.after(() => client.stop());
  const { data: sent } = await client.mutate({
    mutation: gql`
      mutation Send($input: ChatInput!) { sendMessage(input: $input) { run { id } session { id } } }
    `,
    variables: { input: { agent, message: { text: 'Tell me a short story about a lighthouse.' } } },
  });
  const { run, session } = sent.sendMessage;
  const list = await showMessages(client, session.id);

  const texts = [];
  let item;
  for await (const { data } of fromObservable(client.subscribe(document(runEvents(run.id, null))))) {
    const { message } = data.runEvents;
    if (!message) continue;
    item ??= list.add(message);
    texts.push(message.text);
  }
  // Queries are rendered a moment after their cache has changed.
  await until(() => list.shown.at(-1) === texts.at(-1) && item.at(-1) === texts.at(-1));
  list.stop();
  assertFollows(list.shown, texts);
  assertFollows(item, texts);
  const answer = gql`query Answer($id: ID!) { run(id: $id) { output { id text } } }`;
  const { data } = await client.query({ query: answer, variables: { id: run.id } });
  assert.equal(data.run.output.text, texts.at(-1), 'what the cache showed is what history keeps');
});

// A list of messages, as a watched query, and its items, as watched fragments. The new message
// is put in the list once; that its text grows is the cache's own doing.
async function showMessages(client, sessionId) {
  const query = gql`query Messages($id: ID!) { session(id: $id) { id messages { nodes { id text } } } }`;
  const variables = { id: sessionId };
  await client.query({ query, variables });
  const shown = [];
  const watching = [
    client.watchQuery({ query, variables }).subscribe(({ data }) => {
      const [, answer] = data.session.messages.nodes;
      if (answer) shown.push(answer.text);
    }),
  ];
  const add = (message) => {
    client.cache.updateQuery({ query, variables }, ({ session }) => {
      const nodes = [...session.messages.nodes, message];
      return { session: { ...session, messages: { ...session.messages, nodes } } };
    });
    const item = [];
    const fragment = gql`fragment Text on Message { text }`;
    watching.push(
      client.watchFragment({ fragment, from: message }).subscribe(({ data }) => item.push(data.text)),
    );
    return item;
  };
  return { shown, add, stop: () => watching.forEach((each) => each.unsubscribe()) };
}

// Results that come in one read may be rendered as one.
function assertFollows(shown, texts) {
  assert.ok(shown.length > 1, 'it was rendered as the text grew');
  shown.forEach((text, place) => {
    assert.ok(texts.includes(text), 'it is the text of an event');
    assert.ok(place === 0 || text.length > shown[place - 1].length, 'each time with more text');
  });
}

test('Apollo Client: automatic persisted queries', options, async () => {
  const query = gql(unheardQuery());
  const first = await persisted(query);
  assert.deepEqual(first.map(carries), ['hash', 'hash and text'], 'the server asks for the text once');
  const second = await persisted(query);
  assert.deepEqual(second.map(carries), ['hash'], 'and any client may then leave it out');
});

test('Apollo Client: automatic persisted queries with GET', options, async () => {
  const query = gql(unheardQuery());
  const get = { useGETForHashedQueries: true };
  const first = await persisted(query, get);
  assert.deepEqual(first.map(({ method }) => method), ['GET', 'POST']);
  const second = await persisted(query, get);
  assert.deepEqual(second.map(({ method }) => method), ['GET']);
  assert.ok(!new URL(second[0].url).searchParams.has('query'));
});

async function persisted(query, settings) {
  const { sent, fetch } = recordedFetch();
  const link = createPersistedQueryLink({ sha256, ...settings }).concat(httpLink({ fetch }));
  const client = apollo(link);
  const { data } = await client.query({ query });
  assert.ok(data.viewer.name);
  client.stop();
  return sent;
}

async function* iterate(client, request) {
  for await (const { data, error } of fromObservable(client.subscribe(document(request)))) {
    yield { data, errors: error?.message };
  }
}

const document = ({ query, variables }) => ({ query: gql(query), variables });
