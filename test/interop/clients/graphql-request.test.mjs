import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, GraphQLClient } from "graphql-request";
import { alice, document, errors, headers, recorder, summary, url } from "./service.mjs";

function connect(options) {
  const { fetch, requests } = recorder();
  return { client: new GraphQLClient(url, { headers, fetch, ...options }), requests };
}

/** failure returns the error of a request. */
async function failure(promise) {
  const error = await promise.then(() => assert.fail("the request succeeded"), (e) => e);
  assert.ok(error instanceof ClientError, error);
  return error.response;
}

for (const method of ["POST", "GET"]) {
  test(`a query by ${method} is answered`, async () => {
    const { client, requests } = connect({ method, jsonSerializer: JSON });
    const { authorizationCode } = await client.request(document, { id: "17" });
    assert.deepEqual(summary(authorizationCode), alice);
    assert.deepEqual(requests.map((request) => request.method), [method]);
  });

  for (const [id, code] of Object.entries(errors)) {
    test(`${id} by ${method} is ${code}`, async () => {
      const response = await failure(connect({ method, jsonSerializer: JSON }).client.request(document, { id }));
      assert.equal(response.status, 200);
      assert.deepEqual(response.errors.map((e) => e.extensions.code), [code]);
      assert.equal(response.data.authorizationCode, null);
    });
  }
}

test("a rate limit says how long to wait", async () => {
  const { errors } = await failure(connect().client.request(document, { id: "429" }));
  assert.ok(errors[0].extensions.retryAfter > 0);
});

test("no token is UNAUTHENTICATED", async () => {
  const { errors } = await failure(connect({ headers: {} }).client.request(document, { id: "17" }));
  assert.equal(errors[0].extensions.code, "UNAUTHENTICATED");
});

test("a document that is not valid is an error with its code", async () => {
  const { errors } = await failure(connect().client.request("{ authorizationCode(id: 17) { secret } }"));
  assert.equal(errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
});

test("errorPolicy all gives data beside errors", async () => {
  const { client } = connect({ errorPolicy: "all" });
  const { mine, none } = await client.request("{ mine: authorizationCode(id: 17) { id } none: authorizationCode(id: 404) { id } }");
  assert.deepEqual({ mine, none }, { mine: { id: "17" }, none: null });
});
