// Apollo's automatic persisted queries: the hash alone, and the text once if the hash is unknown.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { errors, headers, recorder, url } from "./service.mjs";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

function connect(options) {
  const { fetch, requests } = recorder();
  const link = new PersistedQueryLink({ sha256, ...options }).concat(new HttpLink({ uri: url, headers, fetch }));
  return { client: new ApolloClient({ cache: new InMemoryCache(), link }), requests };
}

/** sent describes a request: its method, and whether it holds the text, the hash or both. */
function sent({ method, url, body }) {
  const { query, extensions } = body ?? Object.fromEntries(url.searchParams);
  const { persistedQuery } = typeof extensions === "string" ? JSON.parse(extensions) : extensions;
  assert.equal(persistedQuery.version, 1);
  assert.match(persistedQuery.sha256Hash, /^[0-9a-f]{64}$/);
  return query === undefined ? `${method} hash` : `${method} hash and text`;
}

/** fresh returns a query that the service does not know. */
const fresh = (name) => gql`query ${name}($id: ID!) { authorizationCode(id: $id) { id user { id username } } }`;

for (const [method, useGETForHashedQueries] of [["POST", false], ["GET", true]]) {
  test(`a hash by ${method} is unknown, registered, and known from then on`, async () => {
    const query = fresh(`Register${method}`);
    const ask = async (client) => {
      const { data } = await client.query({ query, variables: { id: "17" } });
      assert.equal(data.authorizationCode.user.username, "alice");
    };
    const first = connect({ useGETForHashedQueries });
    await ask(first.client);
    assert.deepEqual(first.requests.map(sent), [`${method} hash`, "POST hash and text"]);
    assert.deepEqual(first.requests.map((request) => request.status), [200, 200]);

    const second = connect({ useGETForHashedQueries });
    await ask(second.client);
    assert.deepEqual(second.requests.map(sent), [`${method} hash`]);
  });

  test(`errors by ${method} have the same codes`, async () => {
    const { client } = connect({ useGETForHashedQueries });
    for (const [id, code] of Object.entries(errors)) {
      const error = await client.query({ query: fresh(`Errors${method}`), variables: { id } }).then(() => assert.fail("no error"), (e) => e);
      assert.ok(CombinedGraphQLErrors.is(error), error);
      assert.equal(error.errors[0].extensions.code, code);
    }
  });
}

const unknown = { variables: { id: "17" }, extensions: { persistedQuery: { version: 1, sha256Hash: sha256("nothing") } } };

/** json sends a request and returns the response. */
async function json(input, init) {
  const response = await fetch(input, { ...init, headers: { ...headers, "Content-Type": "application/json" } });
  return { status: response.status, stored: response.headers.get("Cache-Control"), body: await response.json() };
}

test("an unknown hash is answered as Apollo's clients expect it", async () => {
  const query = new URLSearchParams(Object.entries(unknown).map(([name, value]) => [name, JSON.stringify(value)]));
  for (const answer of [await json(url, { method: "POST", body: JSON.stringify(unknown) }), await json(`${url}?${query}`)]) {
    assert.equal(answer.status, 200);
    assert.equal(answer.stored, "no-store");
    assert.equal("data" in answer.body, false);
    assert.deepEqual(answer.body.errors.map((e) => [e.message, e.extensions.code]), [["PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND"]]);
  }
});

test("a text under another text's hash is refused and not kept", async () => {
  const sha256Hash = sha256("{ __typename }");
  const persisted = { extensions: { persistedQuery: { version: 1, sha256Hash } } };
  const wrong = await json(url, { method: "POST", body: JSON.stringify({ query: "{ authorizationCode(id: 17) { id } }", ...persisted }) });
  assert.equal(wrong.status, 400);
  assert.equal(wrong.body.errors[0].extensions.code, "BAD_REQUEST");
  const later = await json(url, { method: "POST", body: JSON.stringify(persisted) });
  assert.equal(later.body.errors[0].extensions.code, "PERSISTED_QUERY_NOT_FOUND");
});
