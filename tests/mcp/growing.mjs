// An MCP server over stdio whose tools change, and that can be made to end.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';

const server = new McpServer({ name: 'growing', version: '1.0.0' });
const text = (text) => ({ content: [{ type: 'text', text }] });

server.registerTool('grow', { description: 'Adds a tool.' }, () => {
  // Registering it tells the client that the list has changed.
  server.registerTool('grown', { description: 'Was not there before.' }, () => text('here I am'));
  return text('grown');
});
server.registerTool('die', { description: 'Ends the server.' }, () => process.exit(1));
server.registerTool('fail', { description: 'Fails.' }, () => ({ ...text('no luck'), isError: true }));
server.registerTool('pid', { description: 'Tells the process.' }, () => text(`${process.pid}`));
server.registerTool('a name with spaces', { description: 'Has spaces.' }, () => text('spaced'));
server.registerTool('mixed', { description: 'Answers in several kinds.' }, () => ({
  content: [
    { type: 'text', text: 'words' },
    { type: 'image', data: Buffer.alloc(300).toString('base64'), mimeType: 'image/png' },
    { type: 'audio', data: Buffer.alloc(30).toString('base64'), mimeType: 'audio/wav' },
    { type: 'resource', resource: { uri: 'file:///a.txt', text: 'inside' } },
    { type: 'resource_link', uri: 'file:///b.txt', name: 'b' },
  ],
}));
await server.connect(new StdioServerTransport());
