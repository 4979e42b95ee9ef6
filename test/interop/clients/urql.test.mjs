import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, cacheExchange, fetchExchange, gql } from "@urql/core";
import { alice, document, errors, headers, ids, page, guide, recorder, revocation, summary, url } from "./service.mjs";

function connect(options) {
  const { fetch, requests } = recorder();
  const client = new Client({ url, fetch, fetchOptions: { headers }, exchanges: [cacheExchange, fetchExchange], ...options });
  return { client, requests };
}

for (const [method, preferGetMethod] of [["POST", false], ["GET", true]]) {
  test(`a query by ${method} is answered, and again from the cache`, async () => {
    const { client, requests } = connect({ preferGetMethod });
    const first = await client.query(gql(document), { id: "17" });
    assert.equal(first.error, undefined);
    assert.deepEqual(summary(first.data.authorizationCode), alice);
    const second = await client.query(gql(document), { id: "17" });
    assert.deepEqual(second.data, first.data);
    assert.deepEqual(requests.map((request) => request.method), [method]);
  });

  for (const [id, code] of Object.entries(errors)) {
    test(`${id} by ${method} is ${code}`, async () => {
      const { client } = connect({ preferGetMethod });
      const { error } = await client.query(gql(document), { id });
      assert.deepEqual(error.graphQLErrors.map((e) => e.extensions.code), [code]);
      assert.deepEqual(error.graphQLErrors[0].path, ["authorizationCode"]);
      assert.equal(error.networkError, undefined);
    });
  }
}

// urql 5 and later send queries by GET by default.
test("the default is GET", async () => {
  const { client, requests } = connect();
  const { data } = await client.query(gql(document), { id: "17" });
  assert.deepEqual(summary(data.authorizationCode), alice);
  assert.equal(requests[0].method, "GET");
});

test("a rate limit says how long to wait", async () => {
  const { client } = connect();
  const { error } = await client.query(gql(document), { id: "429" });
  assert.ok(error.graphQLErrors[0].extensions.retryAfter > 0);
});

// A GET without any header that would make a browser send a preflight is refused.
for (const [preferGetMethod, code] of [[false, "UNAUTHENTICATED"], [true, "BAD_REQUEST"]]) {
  test(`no token is ${code} ${preferGetMethod ? "by GET" : "by POST"}`, async () => {
    const { client } = connect({ fetchOptions: {}, preferGetMethod });
    const { error } = await client.query(gql(document), { id: "17" });
    assert.equal(error.graphQLErrors[0].extensions.code, code);
  });
}

test("requestPolicy network-only asks the service", async () => {
  const { client, requests } = connect();
  for (let i = 0; i < 2; i++) {
    const { error } = await client.query(gql(document), { id: "17" }, { requestPolicy: "network-only" });
    assert.equal(error, undefined);
  }
  assert.equal(requests.length, 2);
});

test("a document that is not valid is an error with its code", async () => {
  const { client } = connect();
  const { error } = await client.query(gql`{ authorizationCode(id: 17) { secret } }`, {});
  assert.equal(error.graphQLErrors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
});

test("pages follow one another, and a revocation has them asked for again", async () => {
  const { client, requests } = connect();
  const ask = async (after) => {
    const { data, error } = await client.query(gql(page()), { first: 3, after });
    assert.equal(error, undefined);
    return data.authorizationCodes;
  };
  const first = await ask(null);
  const second = await ask(first.pageInfo.endCursor);
  assert.equal(new Set([...ids(first), ...ids(second)]).size, 6);
  assert.deepEqual(ids(await ask(null)), ids(first));
  assert.equal(requests.length, 2);

  const [, id] = ids(first);
  const context = (0, eval)(`(${guide(/`(\{ additionalTypenames: .*? \})`/)})`);
  const { data } = await client.mutation(gql(revocation), { id }, context);
  assert.deepEqual(data.revokeAuthorizationCode, { __typename: "RevokeAuthorizationCodePayload", id, uncertain: false });
  assert.deepEqual(ids(await ask(null)), [...ids(first).filter((other) => other !== id), ids(second)[0]]);
  assert.deepEqual(requests.map((request) => request.method), ["GET", "GET", "POST", "GET"]);
});
