// One file for all three of Monaco's workers: they share the editor base, which is most of each.
// The page starts it with the worker's label as its name.
import { initialize } from 'monaco-editor/esm/vs/editor/editor.worker.js';
import { GraphQLWorker } from 'monaco-graphql/esm/GraphQLWorker.js';

// Imported for its effect: it sets `onmessage` to start the JSON service.
import 'monaco-editor/esm/vs/language/json/json.worker.js';
const startJson = globalThis.onmessage;

const starters = {
  json: startJson,
  graphql: () => initialize((context, data) => new GraphQLWorker(context, data)),
};

// Monaco's first message only wakes the worker; `initialize` then installs the real handler.
globalThis.onmessage = starters[globalThis.name] ?? (() => initialize(null));
