// Validates the tour against the exported schema, so that no visitor's first query is an error.
import { buildSchema, parse, validate } from 'graphql';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { tour } from './src/tour.js';

const path = process.argv[2] ?? fileURLToPath(new URL('../schema.graphql', import.meta.url));
const schema = buildSchema(await readFile(path, 'utf8'));

const problems = tour.flatMap(({ query }) =>
  validate(schema, parse(query)).map((error) => `${error}\n`),
);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(`${tour.length} documents are valid for ${path}`);
