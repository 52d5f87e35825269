// The strictest policy the page works under; tests/clients/graphiql.test.mjs runs it in a browser.
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  // Monaco positions every line with style attributes and makes style elements as it runs.
  "style-src 'self' 'unsafe-inline'",
  // The favicon and Monaco's icon font are inlined.
  "img-src 'self' data:",
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
