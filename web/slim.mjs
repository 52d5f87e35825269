// Replaces modules that the page never runs. Every rule must be used, so that an upgrade which
// moves a module fails the build instead of quietly bringing half a megabyte back.
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(`src/${path}`, import.meta.url));

const RULES = [
  { import: /editor\/edcore\.main\.js$/, use: here('editor-core.js') },
  { import: /\/(multiD|d)iffEditorWidget\.js$/, use: here('slim/diff-editor.js') },
  { import: /^prettier\//, from: /@graphiql\/react\/dist\/utility\/jsonc\.js$/, use: here('slim/json-formatter.js') },
  { import: /^prettier\//, from: /monaco-graphql\/esm\/GraphQLWorker\.js$/, use: here('slim/no-formatter.js') },
  // The same file in two module formats.
  { import: /^prettier\/parser-graphql$/, as: 'prettier/plugins/graphql' },
  // React 19 has what this polyfills for older ones; GraphiQL would bring three copies of it.
  { import: /^react-compiler-runtime$/, as: 'react/compiler-runtime' },
];

const unused = new Set(RULES);

export function assertEveryRuleUsed() {
  if (unused.size > 0) {
    throw new Error(`matched nothing: ${[...unused].map((rule) => rule.import).join(', ')}`);
  }
}

export const slim = {
  name: 'slim',
  setup(build) {
    for (const rule of RULES) {
      build.onResolve({ filter: rule.import }, (args) => {
        const importer = args.importer.replaceAll('\\', '/');
        if (rule.from && !rule.from.test(importer)) return undefined;
        unused.delete(rule);
        if (rule.use) return { path: rule.use };
        return build.resolve(rule.as, { kind: args.kind, resolveDir: args.resolveDir });
      });
    }
  },
};
