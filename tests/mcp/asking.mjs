// An MCP server over stdio whose tools ask the person something during a call.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';

const server = new McpServer({ name: 'asking', version: '1.0.0' });
const said = (answer) => ({
  content: [{ type: 'text', text: `${answer.action}: ${JSON.stringify(answer.content ?? null)}` }],
});

server.registerTool('name', { description: 'Asks for a name.' }, async () =>
  said(
    await server.server.elicitInput({
      message: 'What is your name?',
      requestedSchema: {
        type: 'object',
        properties: { name: { type: 'string', minLength: 2 } },
        required: ['name'],
      },
    }),
  ),
);
server.registerTool('sign', { description: 'Asks to sign.' }, async () =>
  said(
    await server.server.elicitInput({
      mode: 'url',
      message: 'Please sign.',
      url: 'https://sign.example/42',
      elicitationId: '42',
    }),
  ),
);
await server.connect(new StdioServerTransport());
