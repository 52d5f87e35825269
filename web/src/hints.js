// What the user can do about an error, beside the error itself. Objects rather than sentences
// with quotes in them, so that what is to be copied can be copied as it is shown.

export const KEY_HINT = {
  problem: 'This server wants an API key.',
  'enter in the Headers pane': { Authorization: 'Bearer <your key>' },
  then: 'Run it again. Every tab has its own headers; Re-fetch (bottom left) loads the docs.',
};

export function lacksKey(errors) {
  return Array.isArray(errors) && errors.some((e) => e?.extensions?.code === 'UNAUTHENTICATED');
}

const TERMINAL = new Set(['RunCompleted', 'RunFailed', 'RunCancelled']);

// A run belongs to the server: whoever stops watching can go on from the event seen last.
export function resumeHint(event) {
  if (!event?.run?.id || !Number.isInteger(event.sequence)) return undefined;
  if (TERMINAL.has(event.__typename)) return undefined;
  return {
    note: 'The run goes on without you; cancelRun ends it.',
    'to watch it from here': 'runEvents(runId: $runId, after: $after)',
    variables: { runId: event.run.id, after: event.sequence },
  };
}
