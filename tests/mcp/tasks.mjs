// An MCP server over stdio, without a library, whose tools it executes only as tasks, which end
// as their calls say. The tool `log` is called plainly, and has what the server was asked.
import { createInterface } from 'node:readline';

const log = [];
const tasks = new Map();
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const text = (text, isError = false) => ({ content: [{ type: 'text', text }], isError });

const state = ({ taskId, ends, asked }) => {
  const status = ends !== 'never' && asked > 1 ? ends : 'working';
  const at = new Date(0).toISOString();
  const statusMessage = `step ${asked}`;
  return { taskId, status, statusMessage, createdAt: at, lastUpdatedAt: at, ttl: null, pollInterval: 1 };
};

const call = ({ name, arguments: { ends = 'never' } = {}, task }) => {
  if (name === 'log') return { result: text(JSON.stringify(log)) };
  log.push(`${name} ${task ? `ttl ${task.ttl}` : 'plain'}`);
  if (!task) return { error: { code: -32601, message: 'Task augmentation is required' } };
  const created = { taskId: `task-${tasks.size}`, ends, asked: 0 };
  tasks.set(created.taskId, created);
  return { result: { task: state(created) } };
};

const answers = {
  initialize: () => ({
    result: {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {}, tasks: { cancel: {}, requests: { tools: { call: {} } } } },
      serverInfo: { name: 'tasks', version: '1' },
    },
  }),
  'tools/list': () => ({
    result: {
      tools: [
        { name: 'log', inputSchema: { type: 'object' } },
        { name: 'job', inputSchema: { type: 'object' }, execution: { taskSupport: 'required' } },
      ],
    },
  }),
  'tools/call': call,
  'tasks/get': ({ taskId }) => {
    const task = tasks.get(taskId);
    task.asked += 1;
    if (task.asked === 1) log.push(`get ${taskId}`);
    return { result: state(task) };
  },
  'tasks/result': ({ taskId }) => {
    const { ends } = tasks.get(taskId);
    if (ends === 'failed') return { error: { code: -32000, message: 'the disk is full' } };
    return { result: text(`${taskId} is done`) };
  },
  'tasks/cancel': ({ taskId }) => {
    log.push(`cancel ${taskId}`);
    return { result: { ...state(tasks.get(taskId)), status: 'cancelled' } };
  },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const none = () => ({ error: { code: -32601, message: 'no such method' } });
  send({ id, ...(answers[method] ?? none)(params ?? {}) });
});
