// An MCP server over stdio without a library, whose tool has a schema that is made to hurt.
import { createInterface } from 'node:readline';

const defs = { a45: { type: 'integer' } };
for (let level = 0; level < 45; level += 1) {
  const next = { $ref: `#/$defs/a${level + 1}` };
  defs[`a${level}`] = { anyOf: [next, { allOf: [next] }] };
}
const inputSchema = {
  type: 'object',
  $defs: defs,
  properties: { a: { allOf: [{ $ref: '#/$defs/a0' }] } },
};

const results = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'hostile', version: '1.0.0' },
  }),
  'tools/list': () => ({ tools: [{ name: 'hurt', description: 'Hurts.', inputSchema }] }),
  'tools/call': () => ({ content: [{ type: 'text', text: 'called' }] }),
  ping: () => ({}),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const result = results[method]?.(params ?? {});
  const error = { code: -32601, message: 'there is no such method' };
  const answer = result === undefined ? { error } : { result };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`);
}
