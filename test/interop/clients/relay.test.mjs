import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import relay from "relay-runtime";
import { project } from "./project.mjs";
import { alice, document, errors, headers, ids, page, guide, revocation, summary, url } from "./service.mjs";

const { Environment, Network, RecordSource, Store, commitMutation, createOperationDescriptor, fetchQuery } = relay;

let codeQuery, pageQuery, revokeMutation;
before(async () => {
  const app = project({
    "code.js": "graphql`" + document.replace("Code", "codeQuery").replace("(id: $id)", "(id: $id) @catch") + "`;",
    "page.js": "graphql`" + page(guide(/`(@connection\(.*?\))`/)).replace("Page", "pageQuery") + "`;",
    "revoke.js": "graphql`" + revocation.replace("Revoke", "revokeMutation") + "`;",
    "relay.config.json": '{"src": ".", "schema": "schema.graphql", "language": "javascript", "eagerEsModules": true}',
  });
  // relay-compiler does not accept schema extensions: remove the first paragraph, which is for gateways.
  await app.sh("authentik-graphql -schema | sed '1,/^$/d' > schema.graphql");
  await app.sh("npx relay-compiler");
  const compiled = async (name) => (await import(pathToFileURL(join(app.dir, `__generated__/${name}.graphql.js`)))).default;
  [codeQuery, pageQuery, revokeMutation] = await Promise.all(["codeQuery", "pageQuery", "revokeMutation"].map(compiled));
});

const getDataID = (0, eval)(guide(/^const getDataID = (.*);$/m));

function connect({ endpoint = url, token = headers, ...options } = {}) {
  const network = Network.create(async ({ text, name }, variables) => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...token },
      body: JSON.stringify({ query: text, operationName: name, variables }),
    });
    return response.json();
  });
  return new Environment({ network, store: new Store(new RecordSource()), getDataID, ...options });
}

/** ask returns the field's result: a value, or errors. */
async function ask(environment, id) {
  const { authorizationCode } = await fetchQuery(environment, codeQuery, { id }).toPromise();
  return authorizationCode;
}

test("a query is answered and kept by type and id", async () => {
  const environment = connect();
  const { value } = await ask(environment, "17");
  assert.deepEqual(summary(value), alice);
  const stored = environment.lookup(createOperationDescriptor(codeQuery, { id: "17" }).fragment).data.authorizationCode;
  assert.deepEqual(summary(stored.value), alice);
  const records = environment.getStore().getSource();
  assert.equal(records.get("AuthorizationCode:17").__typename, "AuthorizationCode");
  assert.equal(records.get("User:101").username, "alice");
});

for (const [id, code] of Object.entries(errors)) {
  test(`${id} is ${code}`, async () => {
    const result = await ask(connect(), id);
    assert.equal(result.ok, false);
    assert.deepEqual(result.errors.map((e) => e.extensions.code), [code]);
  });
}

test("a rate limit says how long to wait", async () => {
  const result = await ask(connect(), "429");
  assert.ok(result.errors[0].extensions.retryAfter > 0);
});

test("no token is UNAUTHENTICATED", async () => {
  const result = await ask(connect({ token: {} }), "17");
  assert.equal(result.errors[0].extensions.code, "UNAUTHENTICATED");
});

test("code 1 and provider 1 are two objects", async () => {
  const endpoint = `${process.env.COLLIDING_URL}/graphql`;
  const environment = connect({ endpoint });
  const { value: code } = await ask(environment, "1");
  assert.deepEqual([code.id, code.provider.id, code.provider.name], ["1", "1", "Grafana"]);
  const records = environment.getStore().getSource();
  assert.equal(records.get("AuthorizationCode:1").__typename, "AuthorizationCode");
  assert.equal(records.get("OAuth2Provider:1").__typename, "OAuth2Provider");
  assert.equal(records.has("1"), false);
});

test("with Relay's own getDataID they would be one", async (t) => {
  t.mock.method(console, "error", () => {}); // Relay warns of it
  const endpoint = `${process.env.COLLIDING_URL}/graphql`;
  const environment = connect({ endpoint, getDataID: undefined });
  await ask(environment, "1");
  const record = environment.getStore().getSource().get("1");
  assert.ok("fetchedAt" in record && "clientId" in record, "fields of both in one record");
  assert.deepEqual(record.provider, { __ref: "1" }, "the code is its own provider");
});

test("pages join into one connection, from which a revocation takes its code", async () => {
  const environment = connect();
  const ask = (after) => fetchQuery(environment, pageQuery, { first: 3, after }).toPromise();
  const operation = createOperationDescriptor(pageQuery, { first: 3, after: null });
  environment.retain(operation);
  const list = () => environment.lookup(operation.fragment).data.authorizationCodes;
  const first = (await ask(null)).authorizationCodes;
  await ask(first.pageInfo.endCursor);
  const joined = ids(list());
  assert.deepEqual(joined.slice(0, 3), ids(first));
  assert.equal(new Set(joined).size, 6);
  assert.equal(list().pageInfo.hasNextPage, true);

  const [, id] = joined;
  const payload = await new Promise((onCompleted, onError) => commitMutation(environment, {
    mutation: revokeMutation,
    variables: { id },
    updater: (store) => store.delete(`AuthorizationCode:${id}`),
    onCompleted,
    onError,
  }));
  assert.equal(payload.revokeAuthorizationCode.uncertain, false);
  assert.deepEqual(list().edges.filter(({ node }) => node).map(({ node }) => node.id), joined.filter((other) => other !== id));
});
