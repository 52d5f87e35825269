// What an application does with the generated types; compiled with `tsc --strict`.
import type { EventFragment } from '../generated/graphql/graphql.js';
import { graphql, useFragment } from '../generated/graphql/index.js';
import type { Transport } from './transport.js';

export const Agents = graphql(`
  query Agents {
    agents(first: 10) { nodes { id name description parameters { temperature } } }
  }
`);

export const Ask = graphql(`
  mutation Ask($input: ChatInput!) {
    chat(input: $input) { message { id text } run { id status } }
  }
`);

const MessageText = graphql(`
  fragment MessageText on Message { id text }
`);

const Event = graphql(`
  fragment Event on RunEvent {
    __typename
    sequence
    ... on StepStarted { model }
    ... on TextDelta { delta message { ...MessageText } }
    ... on RunCompleted { finishReason }
    ... on RunFailed { error { code message } }
  }
`);

export const Watch = graphql(`
  subscription Watch($input: ChatInput!) {
    chat(input: $input) { ...Event }
  }
`);

export async function agentNames(server: Transport): Promise<string[]> {
  const { agents } = await server.request(Agents, {});
  return agents.nodes.map(({ name }) => name);
}

export async function ask(server: Transport, agent: string, text: string): Promise<string> {
  const { chat } = await server.request(Ask, { input: { agent, message: { text } } });
  if (chat.run.status !== 'COMPLETED' || !chat.message) throw new Error(chat.run.status);
  return chat.message.text;
}

/** The text so far, each time there is more of it. */
export async function* watch(server: Transport, agent: string, text: string): AsyncGenerator<string> {
  for await (const { chat } of server.stream(Watch, { input: { agent, message: { text } } })) {
    const soFar = textOf(useFragment(Event, chat));
    if (soFar !== null) yield soFar;
  }
}

// The compiler knows the members of the interface and what was selected on each.
function textOf(event: EventFragment): string | null {
  switch (event.__typename) {
    case 'TextDelta':
      return useFragment(MessageText, event.message).text;
    case 'RunFailed':
      throw new Error(`${event.error.code}: ${event.error.message}`);
    case 'RunCancelled':
      throw new Error('somebody stopped the run');
    default:
      return null;
  }
}
