import { Kind, parse } from 'graphql';
import { post } from './http-fetcher.js';
import { keepScroll } from './response-pane.js';
import { stream } from './stream-fetcher.js';

// Relative to the page, so that it also works behind a proxy that serves it under a prefix.
export function createFetcher(pageUrl) {
  const httpUrl = new URL('graphql', pageUrl).href;
  const wsUrl = httpUrl.replace(/^http/, 'ws');

  return (params, { headers } = {}) => {
    const { operationName, type } = chosenOperation(params);
    const request = { ...params, operationName };
    return type === 'subscription'
      ? keepScroll(stream(wsUrl, request, headers))
      : post(httpUrl, request, headers);
  };
}

// GraphiQL also hands over the parsed document and the operation's name, but both lag behind the
// text: whoever changes the tab and runs it at once would send the name from the tab before.
function chosenOperation({ query, operationName }) {
  let document;
  try {
    document = parse(query);
  } catch {
    // The server says what is wrong with it, in its own words.
    return { operationName };
  }
  const operations = document.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION);
  const chosen = operations.find((o) => o.name?.value === operationName) ?? operations[0];
  return { operationName: chosen?.name?.value, type: chosen?.operation };
}
