// What every streaming transport owes its client, whichever it is. `open` makes a client:
// `iterate(request)` is an async iterator of results, `close()` drops its connection.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TEST_TIMEOUT_MS, chat, runEvents } from './support.mjs';

const QUESTION = 'Tell me a short story about a lighthouse.';
const TERMINAL = new Set(['RunCompleted', 'RunFailed', 'RunCancelled']);
const options = { timeout: TEST_TIMEOUT_MS };

export function streamContract(transport, open) {
  test(`${transport}: a chat streams its events in order`, options, async () => {
    const events = await watch(open, chat(QUESTION));
    assertWhole(events);
    assert.equal(events[0].__typename, 'RunStarted');
    assert.equal(events.at(-1).__typename, 'RunCompleted');
    assert.ok(text(events).length > 0, 'the answer has text');
    assertTextGrows(events);
  });

  test(`${transport}: a run that lost its client is resumed with no seam`, options, async () => {
    const before = await watch(open, chat(QUESTION), (seen) => seen.some(isText));
    const { sequence, run } = before.at(-1);
    const after = await watch(open, runEvents(run.id, sequence));
    const events = [...before, ...after];
    assertWhole(events);
    assertTextGrows(events);

    const replayed = await watch(open, runEvents(run.id, null));
    assertWhole(replayed);
    assert.equal(text(replayed), text(events), 'the log has the same text as the live stream');
  });

  test(`${transport}: any event is a resume point, the last one included`, options, async () => {
    const events = await watch(open, chat(QUESTION));
    const last = events.at(-1);
    for (const after of [1, Math.floor(last.sequence / 2), last.sequence - 1]) {
      const rest = await watch(open, runEvents(last.run.id, after));
      assertGapless(rest, after + 1);
      assert.equal(rest.at(-1).sequence, last.sequence);
    }
    assert.deepEqual(await watch(open, runEvents(last.run.id, last.sequence)), []);
  });
}

// The events until the stream ends, or until the client has seen `enough` and goes away.
async function watch(open, request, enough = () => false) {
  const client = open();
  const events = [];
  try {
    for await (const { data, errors } of client.iterate(request)) {
      assert.equal(errors, undefined, JSON.stringify(errors));
      events.push(Object.values(data)[0]);
      if (enough(events)) break;
    }
  } finally {
    await client.close();
  }
  return events;
}

function assertWhole(events) {
  assertGapless(events, 1);
  const terminal = events.filter((event) => TERMINAL.has(event.__typename));
  assert.equal(terminal.length, 1, 'exactly one terminal event');
  assert.equal(terminal[0], events.at(-1), 'the terminal event is the last');
}

function assertGapless(events, first) {
  let expected = first;
  for (const event of events) {
    assert.equal(event.firstSequence ?? event.sequence, expected, JSON.stringify(event));
    assert.ok(event.sequence >= expected);
    expected = event.sequence + 1;
  }
}

// `message { text }` is the text so far: at least what the deltas of that message add up to,
// and at the end exactly that.
function assertTextGrows(events) {
  const texts = new Map();
  const final = new Map();
  for (const { delta, message } of events.filter(isText)) {
    const soFar = (texts.get(message.id) ?? '') + delta;
    texts.set(message.id, soFar);
    final.set(message.id, message.text);
    assert.ok(message.text.startsWith(soFar), 'the text so far begins with the deltas so far');
  }
  assert.deepEqual(final, texts);
}

const isText = (event) => event.__typename === 'TextDelta';
const text = (events) => events.filter(isText).map((event) => event.delta).join('');
