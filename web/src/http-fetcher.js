import { KEY_HINT, lacksKey } from './hints.js';

const MAX_QUOTED_CHARS = 500;

// Always resolves to something GraphiQL can print: an exception would be shown with the stack of
// this bundle, which tells the user nothing.
export async function post(url, params, headers) {
  let response;
  let body;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: {
        accept: 'application/graphql-response+json, application/json;q=0.9',
        'content-type': 'application/json',
        ...headers,
      },
      body: JSON.stringify(params),
    });
    body = await response.text();
  } catch (error) {
    return { errors: [{ message: `No answer from ${url} (${error.message}). Is the server running?` }] };
  }
  const result = parse(body) ?? {
    errors: [{ message: `HTTP ${response.status}: ${body.slice(0, MAX_QUOTED_CHARS) || '(empty)'}` }],
  };
  return response.status === 401 || lacksKey(result.errors) ? { hint: KEY_HINT, ...result } : result;
}

function parse(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
