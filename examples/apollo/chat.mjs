// Asks an agent with Apollo Client, prints the answer as it is written, and resumes the run when
// the connection breaks.
//
//   node chat.mjs [--break-after EVENTS] TEXT
//
// --break-after  ends the first connection itself after so many events, to show the resumption
// TALKGRAPH_URL  the server, http://127.0.0.1:8080 unless set
// TALKGRAPH_KEY  the key, where the server has keys
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client';

const ATTEMPTS = 5;
const TERMINAL = ['RunCompleted', 'RunFailed', 'RunCancelled'];

// Selected without a named fragment, because a cache knows the types of an interface only from
// `possibleTypes`.
const EVENT = `
  sequence
  run { id }
  ... on TextDelta { delta }
  ... on RunFailed { error { code message } }
`;
const CHAT = gql`
  subscription Chat($text: String!) {
    chat(input: { message: { text: $text } }) { ${EVENT} }
  }
`;
const FOLLOW = gql`
  subscription Follow($runId: ID!, $after: Int!) {
    runEvents(runId: $runId, after: $after) { ${EVENT} }
  }
`;
const RESULT = gql`
  query Result($runId: ID!) {
    run(id: $runId) { id status usage { inputTokens outputTokens } session { id } }
  }
`;

const { values, positionals } = parseArgs({
  options: { 'break-after': { type: 'string', default: '0' } },
  allowPositionals: true,
});
const [text] = positionals;
if (!text) throw new Error('usage: node chat.mjs [--break-after EVENTS] TEXT');

const { TALKGRAPH_URL: url = 'http://127.0.0.1:8080', TALKGRAPH_KEY: key } = process.env;
const client = new ApolloClient({
  link: new HttpLink({
    uri: `${url}/graphql`,
    headers: key ? { authorization: `Bearer ${key}` } : {},
  }),
  cache: new InMemoryCache(),
});

// The run and the last event that was seen: all that a resumption needs.
const seen = { runId: undefined, sequence: 0, ended: false };

// Follows one connection to its end. `limit` is the number of events after which it is broken.
function follow(options, limit) {
  return new Promise((resolve) => {
    let events = 0;
    const subscription = client.subscribe(options).subscribe({
      next: ({ data, error }) => {
        const event = data?.chat ?? data?.runEvents;
        if (!event) return console.error(error?.message);
        seen.runId = event.run.id;
        seen.sequence = event.sequence;
        seen.ended = TERMINAL.includes(event.__typename);
        process.stdout.write(event.delta ?? '');
        if (event.error) console.error(event.error);
        if (++events === limit && !seen.ended) {
          subscription.unsubscribe();
          resolve();
        }
      },
      error: (error) => {
        console.error(error.message);
        resolve();
      },
      complete: resolve,
    });
  });
}

await follow({ query: CHAT, variables: { text } }, Number(values['break-after']));
if (!seen.runId) throw new Error('the run has not started');
for (let attempt = 1; !seen.ended; attempt++) {
  if (attempt > ATTEMPTS) throw new Error(`the run ${seen.runId} has not ended`);
  console.error(`resuming ${seen.runId} after event ${seen.sequence}`);
  const variables = { runId: seen.runId, after: seen.sequence };
  await follow({ query: FOLLOW, variables });
  if (!seen.ended) await setTimeout(200);
}
const { data } = await client.query({ query: RESULT, variables: { runId: seen.runId } });
console.log(`\n${data.run.status}, ${data.run.usage.outputTokens} tokens`);
