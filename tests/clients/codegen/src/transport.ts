// Typed documents over HTTP, sent as their text or as their id in the manifest.
import { createClient, type RequestParams } from 'graphql-sse';
import type { TypedDocumentString } from '../generated/graphql/graphql.js';

export interface Transport {
  request<R, V>(document: TypedDocumentString<R, V>, variables: V): Promise<R>;
  stream<R, V>(document: TypedDocumentString<R, V>, variables: V): AsyncGenerator<R>;
}

type AnyDocument = TypedDocumentString<unknown, never>;
export type Naming = (document: AnyDocument) => { query: string } | { documentId: string };

export const byText: Naming = (document) => ({ query: document.toString() });
export const byId: Naming = (document) => ({ documentId: String(document.__meta__?.['hash']) });

export function connect(url: string, headers: Record<string, string>, naming: Naming): Transport {
  const sse = createClient({ url, headers, retryAttempts: 0 });
  const accept = 'application/graphql-response+json';
  return {
    async request(document, variables) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', accept },
        body: JSON.stringify({ ...naming(document), variables }),
      });
      return dataOf(await response.json());
    },
    async *stream(document, variables) {
      // graphql-sse sends whatever it is given, but its type knows of no documentId.
      const request = { ...naming(document), variables } as RequestParams;
      for await (const result of sse.iterate(request)) yield dataOf(result);
    },
  };
}

function dataOf(result: { data?: unknown; errors?: readonly unknown[] }): never {
  if (result.errors) throw new Error(JSON.stringify(result.errors));
  return result.data as never;
}
