// An MCP server over stdio whose results have images, values and resources.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const server = new McpServer({ name: 'results', version: '1.0.0' });
// The content of the image, after the first bytes of a PNG: a test can look for it.
const content = process.argv[2] ?? '';
const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.from(content)]);
const image = { type: 'image', data: png.toString('base64'), mimeType: 'image/png' };

server.registerTool(
  'look',
  {
    description: 'Looks.',
    inputSchema: { at: z.string().optional() },
    outputSchema: { animal: z.string(), legs: z.number() },
  },
  () => ({
    content: [
      { type: 'text', text: 'A cat.' },
      image,
      { type: 'resource_link', uri: 'file:///cats.md', name: 'cats.md', title: 'Cats', mimeType: 'text/markdown' },
      { type: 'resource', resource: { uri: 'note://1', mimeType: 'text/plain', text: 'Meow.' } },
    ],
    structuredContent: { animal: 'cat', legs: 4 },
  }),
);
server.registerTool('value', { description: 'Gives a value.' }, () => ({
  content: [{ type: 'text', text: '{"z":1,"a":2}' }],
  structuredContent: { z: 1, a: 2 },
}));
server.registerTool('many', { description: 'Gives too much.' }, () => ({
  content: [...Array(5)].map(() => image),
}));
await server.connect(new StdioServerTransport());
