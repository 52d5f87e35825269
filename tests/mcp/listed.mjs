// An MCP server over stdio that lists the tools it is given, as they are, and answers each call
// with the arguments that it gets. Without a library, which would mend what it lists.
import { createInterface } from 'node:readline';

const tools = JSON.parse(process.argv[2]);
const answers = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'listed', version: '1.0.0' },
  }),
  'tools/list': () => ({ tools }),
  'tools/call': (params) => ({
    content: [{ type: 'text', text: JSON.stringify(params.arguments ?? null) }],
  }),
};
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  const answer = answers[method];
  if (id !== undefined && answer) {
    process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result: answer(params) })}\n`);
  }
});
