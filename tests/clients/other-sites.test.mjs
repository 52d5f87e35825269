// Pages of other sites in a browser, against a developer's server without keys.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { startServer } from './own-server.mjs';

const options = { timeout: 300_000 };

let server;
let port;
let pages;
let profile;
let browser;

before(async () => {
  server = await startServer({ OPENAI_API_KEY: 'sk-none' });
  port = new URL(server.url).port;
  // The other site: its own pages, on a port of its own.
  pages = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<title>other</title>');
  });
  pages.listen(0, '127.0.0.1');
  await once(pages, 'listening');
  profile = await mkdtemp(join(tmpdir(), 'talkgraph-other-sites-'));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      // The names of the other sites resolve to this machine, as after a rebinding.
      '--host-resolver-rules=MAP *.test 127.0.0.1',
      // The server has to refuse, not the browser.
      '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests',
    ],
  });
}, options);

after(async () => {
  await browser?.close();
  await rm(profile, { recursive: true, force: true });
  pages?.close();
  await server?.stop();
});

async function ask(query) {
  const response = await fetch(`${server.url}graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  return response.json();
}

// Everything that a page can try against `base`. Runs in the page; gives what it could read.
async function attack(base) {
  const read = [];
  const query = encodeURIComponent('{ sessions { nodes { id } } }');
  const mutation = JSON.stringify({ query: 'mutation { createSession { session { id } } }' });
  const tool = JSON.stringify({
    query: 'mutation { callTool(input: { name: "calculator", arguments: { expression: "1+1" } }) { output { text } } }',
  });
  const json = { 'content-type': 'application/json' };
  const accept = { accept: 'application/json' };
  const requests = [
    ['GET', `graphql?query=${query}`, { headers: accept }],
    ['GET', `graphql?query=${query}`, { headers: accept, mode: 'no-cors' }],
    ['GET', `graphql?query=${query}`, { headers: { ...accept, 'graphql-require-preflight': '1' } }],
    ['POST', 'graphql', { headers: json, body: mutation }],
    ['POST', 'graphql', { headers: json, body: tool }],
    ['POST', 'graphql', { headers: { 'content-type': 'text/plain' }, body: mutation, mode: 'no-cors' }],
    ['GET', 'schema.graphql', {}],
    ['GET', 'health/ready', {}],
  ];
  for (const [method, path, rest] of requests) {
    try {
      const response = await fetch(base + path, { method, ...rest });
      const text = await response.text();
      if (response.ok && text) read.push(`${method} ${path}: ${text.slice(0, 100)}`);
    } catch {
      // Refused by the browser, because the server does not allow it.
    }
  }
  const opened = (source, kind) =>
    new Promise((resolve) => {
      source.onopen = () => resolve([kind]);
      source.onerror = () => resolve([]);
    }).finally(() => source.close());
  const subscription = encodeURIComponent('subscription { sessionChanged { id } }');
  const socket = new WebSocket(base.replace('http', 'ws') + 'graphql', 'graphql-transport-ws');
  read.push(...(await opened(socket, 'WebSocket')));
  const events = new EventSource(`${base}graphql?query=${subscription}`);
  read.push(...(await opened(events, 'EventSource')));
  for (const [tag, attribute] of [['img', 'src'], ['script', 'src']]) {
    const element = document.createElement(tag);
    element[attribute] = `${base}graphql?query=${query}`;
    const loaded = new Promise((resolve) => {
      element.onload = () => resolve([tag]);
      element.onerror = () => resolve([]);
    });
    document.head.append(element);
    read.push(...(await loaded));
  }
  return read;
}

// Opens a page and has it attack `base`; gives what it read and how the server answered.
async function from(url, base, isRebound) {
  const page = await browser.newPage();
  const answers = [];
  // Only the page comes from elsewhere: before its name is bound to this machine, it was the
  // attacker's. Not for other pages: where there is a route, the driver answers preflights.
  if (isRebound) {
    await page.route(url, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<title>attack</title>' }),
    );
  }
  await page.goto(url);
  page.on('response', (response) => {
    if (new URL(response.url()).port === port) {
      answers.push([response.request().method(), response.url(), response.status()]);
    }
  });
  const read = await page.evaluate(attack, base);
  await page.close();
  return { read, answers };
}

test('a page whose name is bound to this machine is refused everywhere', options, async () => {
  const { read, answers } = await from(`http://evil.test:${port}/attack`, `http://evil.test:${port}/`, true);
  assert.deepEqual(read, []);
  assert.ok(answers.length >= 10, `${answers.length} answers`);
  for (const answer of answers) assert.equal(answer[2], 421, answer.join(' '));
  assert.deepEqual((await ask('{ sessions { nodes { id } } }')).data.sessions.nodes, []);
});

test('a page of another site reads nothing and changes nothing', options, async () => {
  const other = `http://other.test:${pages.address().port}/`;
  for (const host of ['127.0.0.1', 'localhost']) {
    const { read, answers } = await from(other, `http://${host}:${port}/`, false);
    assert.deepEqual(read, [], host);
    assert.ok(answers.length > 0, 'the browser asked');
    for (const [method, url, status] of answers) {
      // What the browser may not let the page read: the schema and health say nothing secret.
      if (/schema.graphql|health/.test(url)) continue;
      assert.ok(status >= 400 || method === 'OPTIONS', `${method} ${url} ${status}`);
    }
    assert.deepEqual((await ask('{ sessions { nodes { id } } }')).data.sessions.nodes, []);
  }
});

test('the server’s own page and a link to it work', options, async () => {
  const page = await browser.newPage();
  const query = encodeURIComponent('{ viewer { owner } }');
  await page.goto(`http://other.test:${pages.address().port}/`);
  await page.evaluate((url) => { window.location.href = url; }, server.url);
  await page.waitForURL(server.url);
  const answer = await page.evaluate(async (url) => {
    const response = await fetch(url, { headers: { accept: 'application/json' } });
    return response.json();
  }, `${server.url}graphql?query=${query}`);
  assert.equal(answer.data.viewer.owner, 'dev');
  await page.close();
});
