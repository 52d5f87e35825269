// GraphiQL prettifies variables and headers with Prettier's whole JavaScript parser (half a
// megabyte). jsonc-parser, which is in the bundle anyway, formats JSON with comments as well.
import { applyEdits, format as edits } from 'jsonc-parser';

export function format(text) {
  return applyEdits(text, edits(text, undefined, { insertSpaces: true, tabSize: 2, eol: '\n' }));
}

export const printers = {};
export const parsers = {};
