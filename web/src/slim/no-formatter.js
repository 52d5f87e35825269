// The language worker could format documents, but the page formats with its own button and has
// no "Format Document" command, so a second Prettier in the worker would never run.
export function format(text) {
  return text;
}
