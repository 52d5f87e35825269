// The page at `/` as a user meets it: in a browser, offline, under the server's own headers.
import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { TEST_TIMEOUT_MS, key, serverUrl } from './support.mjs';

const options = { timeout: TEST_TIMEOUT_MS };
const artefacts =
  process.env.ARTEFACTS_DIR ?? fileURLToPath(new URL('../../target/test-artefacts', import.meta.url));
const pageUrl = new URL('/', serverUrl).href;

let profile;
let browser;
let page;
const elsewhere = [];
const complaints = [];
const keyed = new Set();

before(async () => {
  await mkdir(artefacts, { recursive: true });
  profile = await mkdtemp(join(tmpdir(), 'talkgraph-chromium-'));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    viewport: { width: 1400, height: 900 },
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  page = browser.pages()[0];
  page.setDefaultTimeout(TEST_TIMEOUT_MS);
  browser.on('request', (request) => note(request.url()));
  page.on('websocket', (socket) => note(socket.url()));
  page.on('pageerror', (error) => complaints.push(error.message));
  // Chromium reports what the content security policy refuses as console errors. A server that
  // wants a key refuses the first introspection, which it reports there as well.
  page.on('console', (message) => {
    const refused = key && message.text().includes('401');
    if (message.type() === 'error' && !refused) complaints.push(message.text());
  });
}, options);

after(async () => {
  await browser?.close();
  await rm(profile, { recursive: true, force: true });
});

function note(url) {
  const { protocol, host } = new URL(url);
  if (!['data:', 'blob:'].includes(protocol) && host !== serverUrl.host) elsewhere.push(url);
}

test('the page loads under a content security policy', options, async () => {
  const response = await page.goto(pageUrl);
  assert.equal(response.status(), 200);
  assert.match(response.headers()['content-security-policy'] ?? '', /default-src 'none'/);
  await runButton().waitFor();
});

test('a missing key is explained', { ...options, skip: !key && 'the server wants no key' }, async () => {
  const { hint } = await answer();
  assert.match(hint.problem, /key/);
});

test('the documentation shows the schema', options, async () => {
  await openTab('ListAgents');
  if (key) await page.getByRole('button', { name: /Re-fetch/ }).click();
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  const docs = page.locator('.graphiql-doc-explorer');
  await docs.getByText('Subscription', { exact: true }).first().click();
  await docs.getByText('chat', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Hide Documentation Explorer' }).click();
});

for (const step of ['ListAgents', 'NewSession', 'Ask']) {
  test(`the tour: ${step}`, options, () => runTab(step));
}

test('the tour: Watch shows the events as they come', options, async () => {
  await openTab('Watch');
  await runButton().click();
  // What the user sees, not only what the page holds: the pane follows the stream to its end.
  const lines = page.locator('.result-window .view-line');
  await lines.filter({ hasText: '"stream"' }).waitFor();
  await lines.filter({ hasText: /"status":\s"complete"/ }).waitFor();
  await page.screenshot({ path: join(artefacts, 'graphiql.png') });

  const { events, stream, errors } = await answer();
  assert.equal(errors, undefined);
  const types = events.map((event) => event.__typename);
  assert.equal(types[0], 'RunStarted');
  assert.ok(types.includes('TextDelta'));
  assert.equal(types.at(-1), 'RunCompleted');
  assert.ok(stream.received >= events.length);
});

test('the tour: History', options, async () => {
  const { data } = await runTab('History');
  assert.ok(data.sessions.edges.length > 0, 'the sessions of the steps before');
});

test('the page asked no other host for anything and broke no rule', () => {
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(complaints, []);
});

const runButton = () => page.getByRole('button', { name: /^(Execute query|Stop)/ });

async function runTab(name) {
  await openTab(name);
  await runButton().click();
  const result = await answer();
  assert.equal(result.errors, undefined, JSON.stringify(result.errors));
  return result;
}

async function openTab(name) {
  await page.getByRole('tab', { name }).click();
  await page.locator('[role=tab][aria-selected=true]', { hasText: name }).waitFor();
  if (key && !keyed.has(name)) await enterKey();
  keyed.add(name);
}

// Typed into the pane, as a user would; each tab has its own.
async function enterKey() {
  await page.getByRole('button', { name: 'Headers', exact: true }).click();
  await page.locator('section[aria-label=Headers] .graphiql-editor:not(.hidden)').click();
  await page.keyboard.insertText(JSON.stringify({ Authorization: `Bearer ${key}` }));
}

// The whole JSON of the response pane, once it is there; the DOM has only the lines in view.
async function answer() {
  const handle = await page.waitForFunction(() => {
    const pane = globalThis.__MONACO?.editor
      .getModels()
      .find((model) => model.uri.path.endsWith('response.json'));
    return pane?.getValue() ? JSON.parse(pane.getValue()) : null;
  });
  return handle.jsonValue();
}
