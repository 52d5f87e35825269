// An MCP server over stdio, without a library, that does what its calls say.
// Arguments: its tools as JSON ([{ name, description, inputSchema }]), and what it does:
// "deaf" outlives its input, "stubborn" SIGTERM as well, "mute" never answers, "late" answers
// after some time. With PID_FILE in its environment it writes its process id there.
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [list, does] = process.argv.slice(2);
const tools = JSON.parse(list).map((tool) => ({ inputSchema: { type: 'object' }, ...tool }));
if (process.env.PID_FILE) writeFileSync(process.env.PID_FILE, `${process.pid}`);
if (does === 'deaf' || does === 'stubborn' || does === 'mute') setInterval(() => {}, 1_000);
if (does === 'stubborn') process.on('SIGTERM', () => {});

const write = (text) => process.stdout.write(`${text}\n`);
const send = (message) => write(JSON.stringify({ jsonrpc: '2.0', ...message }));
const text = (text) => ({ content: [{ type: 'text', text }] });
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

const calls = {
  // Reports progress, `steps` times.
  async work({ steps, every, total = steps }, token) {
    for (let step = 1; step <= steps; step += 1) {
      if (every) await wait(every);
      const params = { progressToken: token, progress: step, total, message: `step ${step}` };
      send({ method: 'notifications/progress', params });
    }
    return text('worked');
  },
  // Logs without an end, and answers never.
  chatter({ every }) {
    const params = { level: 'info', data: 'still here' };
    setInterval(() => send({ method: 'notifications/message', params }), every);
  },
  // Says something else than an answer.
  raw: ({ line }, _, id) => void write(line.replaceAll('ID', `${id}`)),
  pid: () => text(`${process.pid}`),
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined || does === 'mute') return;
  if (does === 'late') await wait(1_000);
  if (method === 'initialize') {
    const { protocolVersion = '2025-06-18' } = params;
    const serverInfo = { name: 'scripted', version: '1' };
    send({ id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo } });
  } else if (method === 'tools/list') {
    send({ id, result: { tools } });
  } else if (method === 'tools/call') {
    const call = calls[params.name] ?? (() => text(`called ${params.name}`));
    const result = await call(params.arguments ?? {}, params._meta?.progressToken, id);
    if (result) send({ id, result });
  } else {
    send({ id, error: { code: -32601, message: 'no such method' } });
  }
});
