// What the response pane shows for a subscription: the events as a list, where GraphiQL alone
// would show only the latest one.

// Oldest events are dropped past this, so that a long run cannot grow the page without bound.
const MAX_EVENTS = 200;

export function createEventLog() {
  const events = [];
  let received = 0;
  let omitted = 0;
  let merged = false;

  return {
    push(result) {
      received += 1;
      const previous = events.at(-1);
      if (previous && isNextDelta(previous, result)) {
        events[events.length - 1] = mergeDeltas(previous, result);
        merged = true;
        return;
      }
      events.push(result);
      if (events.length > MAX_EVENTS) {
        events.shift();
        omitted += 1;
      }
    },

    snapshot(status, extra) {
      const stream = { status, received };
      if (merged) stream.note = 'adjacent deltas are shown as one event';
      if (omitted > 0) stream.omitted = omitted;
      return { events: events.map(present), stream, ...extra };
    },

    last() {
      return value(events.at(-1));
    },
  };
}

// A subscription operation has exactly one root field.
function value(result) {
  return result?.data ? Object.values(result.data)[0] : undefined;
}

function present(result) {
  return result.errors || result.extensions ? result : value(result);
}

// Two events are pieces of one text when both are plain deltas of the same type about the same
// things. Without `__typename` a piece of reasoning and a piece of the answer look alike, so
// events that were not asked for their type are never merged.
function isNextDelta(before, after) {
  if (before.errors || after.errors) return false;
  const [a, b] = [value(before), value(after)];
  if (typeof a?.delta !== 'string' || typeof b?.delta !== 'string') return false;
  if (!a.__typename || a.__typename !== b.__typename) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key]?.id === b[key]?.id);
}

function mergeDeltas(before, after) {
  const root = Object.keys(after.data)[0];
  const [a, b] = [value(before), value(after)];
  const merged = { ...b, delta: a.delta + b.delta };
  if ('firstSequence' in b) merged.firstSequence = a.firstSequence;
  return { data: { [root]: merged } };
}
