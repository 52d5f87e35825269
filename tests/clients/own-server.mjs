// A server of a test's own, for settings that the shared one does not have.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const binary = process.env.TALKGRAPH_BIN;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export const ownAgent = 'brief';

// Starts it in an empty folder with no settings but the given ones, as environment variables.
// Gives its base URL; `stop` asks it to stop and waits until it has.
export async function startServer(settings) {
  if (!binary) throw new Error('TALKGRAPH_BIN is not set; give the program to start');
  const folder = await mkdtemp(join(tmpdir(), 'talkgraph-own-'));
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    PORT: '0',
    TALKGRAPH_HTTP__SHUTDOWN_DELAY_MS: '0',
    TALKGRAPH_AGENTS__FOLDER: here('agents'),
    TALKGRAPH_AGENTS__DEFAULT: ownAgent,
    TALKGRAPH_MODELS__EMBEDDED__PATH: here('../../models/smollm2-135m-instruct-q4_1.gguf'),
    ...settings,
  };
  const server = spawn(binary, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(server, 'exit');
  process.once('exit', () => server.kill('SIGKILL'));
  // A test that runs out of time is told to end by a signal, which is no `exit` by itself.
  process.once('SIGTERM', () => process.exit(143));
  const log = [];
  server.stderr.setEncoding('utf8');
  const stop = async () => {
    server.kill('SIGTERM');
    const [code] = await ended;
    await rm(folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server ended with ${code}:\n${log.join('')}`);
  };
  // It logs its address once it answers.
  for await (const line of createInterface({ input: server.stderr })) {
    log.push(`${line}\n`);
    const { message, address } = JSON.parse(line);
    if (message === 'serving') {
      server.stderr.on('data', (text) => log.push(text));
      return { url: `http://${address}/`, stop };
    }
  }
  await stop();
}
