import assert from "node:assert/strict";
import { test } from "node:test";
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { relayStylePagination } from "@apollo/client/utilities";
import { alice, document, errors, headers, ids, page, guide, recorder, revocation, summary, url } from "./service.mjs";

const query = gql(document);

function connect(options, typePolicies) {
  const { fetch, requests } = recorder();
  const client = new ApolloClient({ cache: new InMemoryCache({ typePolicies }), link: new HttpLink({ uri: url, headers, fetch, ...options }) });
  return { client, requests };
}

/** failure returns the first error of a response. */
async function failure(promise) {
  const error = await promise.then(() => assert.fail("the query succeeded"), (e) => e);
  assert.ok(CombinedGraphQLErrors.is(error), error);
  return error.errors[0];
}

for (const [method, useGETForQueries] of [["POST", false], ["GET", true]]) {
  test(`a query by ${method} is answered, and again from the cache`, async () => {
    const { client, requests } = connect({ useGETForQueries });
    for (let i = 0; i < 2; i++) {
      const { data } = await client.query({ query, variables: { id: "17" } });
      assert.deepEqual(summary(data.authorizationCode), alice);
    }
    assert.deepEqual(requests.map((request) => request.method), [method]);
  });

  for (const [id, code] of Object.entries(errors)) {
    test(`${id} by ${method} is ${code}`, async () => {
      const error = await failure(connect({ useGETForQueries }).client.query({ query, variables: { id } }));
      assert.equal(error.extensions.code, code);
      assert.deepEqual(error.path, ["authorizationCode"]);
    });
  }
}

test("a rate limit says how long to wait", async () => {
  const error = await failure(connect().client.query({ query, variables: { id: "429" } }));
  assert.ok(error.extensions.retryAfter > 0);
});

test("no token is UNAUTHENTICATED", async () => {
  const error = await failure(connect({ headers: {} }).client.query({ query, variables: { id: "17" } }));
  assert.equal(error.extensions.code, "UNAUTHENTICATED");
});

test("a document that is not valid is an error with its code", async () => {
  const error = await failure(connect().client.query({ query: gql`{ authorizationCode(id: 17) { secret } }` }));
  assert.equal(error.extensions.code, "GRAPHQL_VALIDATION_FAILED");
});

test("every object is kept by its type and id", async () => {
  const { client, requests } = connect();
  await client.query({ query, variables: { id: "17" } });
  const cache = client.cache.extract();
  const groups = cache["User:101"].groups.map((group) => group.__ref);
  assert.deepEqual(groups.map((ref) => cache[ref].name), alice.groups);
  assert.deepEqual(Object.keys(cache).sort(), ["AuthorizationCode:17", ...groups, "OAuth2Provider:1", "ROOT_QUERY", "User:101"].sort());
  assert.deepEqual(cache["AuthorizationCode:17"].user, { __ref: "User:101" });

  // Another query finds the code by its id in the cache.
  const fragment = gql`fragment Name on User { username }`;
  assert.equal(client.readFragment({ id: "User:101", fragment }).username, "alice");
  assert.equal(requests.length, 1);
});

test("polling shows what has changed", { timeout: 30_000 }, async () => {
  const { client, requests } = connect();
  const polled = client.watchQuery({ query, variables: { id: "17" }, pollInterval: 100 });
  const seen = new Set();
  await new Promise((resolve, reject) => {
    polled.subscribe({
      next({ data, error, loading }) {
        if (error) reject(error);
        if (loading) return;
        assert.deepEqual(summary(data.authorizationCode), alice);
        if (seen.add(data.authorizationCode.fetchedAt).size === 3) resolve();
      },
      error: reject,
    });
  });
  polled.stopPolling();
  client.stop();
  // Polls while the code is fresh do not reach authentik, and do not notify the observer.
  assert.ok(requests.length > seen.size, `${requests.length} requests`);
});

test("pages join into one list, which a revocation shortens", async () => {
  const keys = JSON.parse(guide(/`relayStylePagination\((\[.*?\])\)`/));
  const { client, requests } = connect({}, { Query: { fields: { authorizationCodes: relayStylePagination(keys) } } });
  const watched = client.watchQuery({ query: gql(page()), variables: { first: 3 } });
  const subscription = watched.subscribe({});
  const first = (await watched.reobserve()).data.authorizationCodes;
  assert.deepEqual([ids(first)[0], ids(first).length, first.pageInfo.hasNextPage], ["17", 3, true]);

  await watched.fetchMore({ variables: { after: first.pageInfo.endCursor } });
  const list = () => client.readQuery({ query: gql(page()), variables: { first: 3 } }).authorizationCodes;
  const joined = ids(list());
  assert.deepEqual(joined.slice(0, 3), ids(first));
  assert.equal(new Set(joined).size, 6);
  assert.equal(list().pageInfo.endCursor, list().edges.at(-1).cursor);

  const [, id] = joined;
  const { data } = await client.mutate({
    mutation: gql(revocation),
    variables: { id },
    update(cache) {
      cache.evict({ id: cache.identify({ __typename: "AuthorizationCode", id }) });
      cache.gc();
    },
  });
  assert.deepEqual([data.revokeAuthorizationCode.id, data.revokeAuthorizationCode.uncertain], [id, false]);
  assert.deepEqual(ids(list()), joined.filter((other) => other !== id));
  assert.equal(requests.length, 3);
  subscription.unsubscribe();

  const error = await failure(client.mutate({ mutation: gql(revocation), variables: { id } }));
  assert.equal(error.extensions.code, "NOT_FOUND");
});
