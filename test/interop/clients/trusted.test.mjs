// Trusted documents: the service runs only documents that a client's own tool wrote to a file.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { generatePersistedQueryIdsFromManifest } from "@apollo/persisted-query-lists";
import relay from "relay-runtime";
import { project } from "./project.mjs";
import { alice, document, headers, recorder, summary, url } from "./service.mjs";

/** serve starts a service that runs only the documents of a file, and returns its address. */
async function serve(t, file) {
  const settings = { TRUSTED_DOCUMENTS: file, TRUSTED_DOCUMENTS_ONLY: "true", LISTEN_ADDR: "127.0.0.1:0", LOG_FORMAT: "json" };
  const service = spawn("authentik-graphql", ["-demo"], { env: { PATH: process.env.PATH, ...settings }, stdio: ["ignore", "ignore", "pipe"] });
  t.after(async () => {
    service.kill();
    if (service.exitCode === null) await once(service, "exit");
  });
  const lines = [];
  for await (const line of createInterface(service.stderr)) {
    lines.push(line);
    if (!line.startsWith("{")) continue;
    const { msg, address } = JSON.parse(line);
    if (msg === "listening") {
      service.stderr.resume();
      return `http://${address}/graphql`;
    }
  }
  assert.fail(`the service does not listen\n${lines.join("\n")}`);
}

/** post sends a body and returns the response. */
async function post(endpoint, body) {
  const response = await fetch(endpoint, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
  return response.json();
}

/** onlyTrusted asserts that the same document with one more blank is refused. */
async function onlyTrusted(endpoint) {
  const { errors } = await post(endpoint, { query: `${document} `, variables: { id: "17" } });
  assert.equal(errors[0].extensions.code, "DOCUMENT_NOT_TRUSTED");
}

test("Apollo's persisted query manifest", async (t) => {
  const app = project({ "src/code.js": `import { gql } from "@apollo/client";\nexport const query = gql\`${document}\`;` });
  await app.sh("npx generate-persisted-query-manifest");
  const file = join(app.dir, "persisted-query-manifest.json");
  const endpoint = await serve(t, file);
  const { fetch, requests } = recorder();
  const ids = generatePersistedQueryIdsFromManifest({ loadManifest: () => JSON.parse(readFileSync(file, "utf8")) });
  for (const useGETForHashedQueries of [false, true]) {
    const link = new PersistedQueryLink({ ...ids, useGETForHashedQueries }).concat(new HttpLink({ uri: endpoint, headers, fetch }));
    const client = new ApolloClient({ cache: new InMemoryCache(), link });
    const { data } = await client.query({ query: gql(document), variables: { id: "17" } });
    assert.deepEqual(summary(data.authorizationCode), alice);
  }
  assert.deepEqual(requests.map((request) => request.method), ["POST", "GET"]);
  await onlyTrusted(endpoint);
});

test("the documents of GraphQL Code Generator", async (t) => {
  const app = project({
    "src/code.graphql": document,
    "codegen.ts": `export default {
      schema: { "${url}": { headers: ${JSON.stringify(headers)} } },
      documents: "src/*.graphql",
      generates: { "src/gql/": { preset: "client", presetConfig: { persistedDocuments: true } } },
    };`,
  });
  await app.sh("npx graphql-codegen");
  const file = join(app.dir, "src/gql/persisted-documents.json");
  const [documentId] = Object.keys(JSON.parse(readFileSync(file, "utf8")));
  const endpoint = await serve(t, file);
  const { data } = await post(endpoint, { documentId, variables: { id: "17" } });
  assert.deepEqual(summary(data.authorizationCode), alice);
  await onlyTrusted(endpoint);
});

test("the documents of relay-compiler", async (t) => {
  const { Environment, Network, RecordSource, Store, fetchQuery } = relay;
  const app = project({
    "src/code.js": "graphql`" + document.replace("Code", "codeQuery") + "`;",
    "relay.config.json": JSON.stringify({
      src: "src", schema: "schema.graphql", language: "javascript", eagerEsModules: true,
      persistConfig: { file: "persisted.json", algorithm: "SHA256" },
    }),
    "persisted.json": "{}",
  });
  await app.sh("authentik-graphql -schema | sed '1,/^$/d' > schema.graphql");
  await app.sh("npx relay-compiler");
  const { default: query } = await import(pathToFileURL(join(app.dir, "src/__generated__/codeQuery.graphql.js")));
  const endpoint = await serve(t, join(app.dir, "persisted.json"));
  const environment = new Environment({
    network: Network.create(({ id, text }, variables) => {
      assert.equal(text, null);
      return post(endpoint, { documentId: id, variables });
    }),
    store: new Store(new RecordSource()),
    getDataID: (object, type) => object.id && `${type}:${object.id}`,
  });
  const { authorizationCode } = await fetchQuery(environment, query, { id: "17" }).toPromise();
  assert.deepEqual(summary(authorizationCode), alice);
  await onlyTrusted(endpoint);
});
