import { CloseCode, createClient } from 'graphql-ws';
import { createEventLog } from './event-log.js';
import { KEY_HINT, lacksKey, resumeHint } from './hints.js';

// Tokens arrive faster than anyone reads, and each update lays out the whole pane again.
const UPDATE_INTERVAL_MS = 50;

// An observable rather than an async iterator: GraphiQL's stop button must take effect at once,
// and an async generator that waits for the next event cannot be interrupted.
export function stream(url, params, headers) {
  return { subscribe: (sink) => ({ unsubscribe: start(url, params, headers, sink) }) };
}

function start(url, params, headers, sink) {
  const log = createEventLog();
  let ended = false;
  let timer;

  const show = (status, extra) => sink.next(log.snapshot(status, extra));

  const end = (status, extra) => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    show(status, extra);
    sink.complete();
    client.dispose();
  };

  const client = createClient({
    url,
    connectionParams: connectionParams(headers),
    // A retry would send `chat` again, and that starts a second run.
    retryAttempts: 0,
  });

  const dispose = client.subscribe(params, {
    next(result) {
      if (ended) return;
      log.push(result);
      timer ??= setTimeout(() => {
        timer = undefined;
        show('open');
      }, UPDATE_INTERVAL_MS);
    },
    error(cause) {
      const errors = toErrors(cause);
      const hint = needsKey(cause, errors) ? KEY_HINT : resumeHint(log.last());
      end('failed', { ...(hint && { hint }), errors });
    },
    complete() {
      end('complete');
    },
  });

  return () => {
    // GraphiQL calls this from inside a state update, where it could not take another one.
    queueMicrotask(() => {
      const hint = resumeHint(log.last());
      end('stopped', hint && { hint });
      dispose();
    });
  };
}

// HTTP header names have no case, the keys of `connection_init`'s payload do.
function connectionParams(headers) {
  return Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) =>
      name.toLowerCase() === 'authorization' ? ['Authorization', value] : [name, value],
    ),
  );
}

function toErrors(cause) {
  if (Array.isArray(cause)) return cause;
  if (isClose(cause)) {
    const reason = cause.reason ? `: ${cause.reason}` : '';
    return [{ message: `The connection was closed with code ${cause.code}${reason}` }];
  }
  return [{ message: cause instanceof Error ? cause.message : 'The WebSocket connection failed' }];
}

function needsKey(cause, errors) {
  const refused = isClose(cause) && [CloseCode.Unauthorized, CloseCode.Forbidden].includes(cause.code);
  return refused || lacksKey(errors);
}

function isClose(cause) {
  return typeof cause?.code === 'number' && 'reason' in cause;
}
