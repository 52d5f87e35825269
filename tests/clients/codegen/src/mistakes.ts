// Each marked line is one that the generated types have to refuse; nobody runs this.
import type { EventFragment } from '../generated/graphql/graphql.js';
import { Agents, Ask } from './program.js';
import type { Transport } from './transport.js';

export async function mistakes(server: Transport, event: EventFragment) {
  const { agents } = await server.request(Agents, {});
  // @ts-expect-error: a field that was not selected
  agents.nodes[0]?.instructions;
  // @ts-expect-error: a message without its text
  await server.request(Ask, { input: { message: {} } });
  // @ts-expect-error: no event has this type
  if (event.__typename === 'TokenArrived') return;
  // @ts-expect-error: not every event has this field
  event.delta;
}
