// Runs mock.js of docs/clients.md unchanged but for the ports, between the service and a stand-in for Prism, which
// answers as Prism 5.14 did with authentik's documents.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { project } from "./project.mjs";
import { guide } from "./service.mjs";

const example = JSON.parse(readFileSync(new URL("../../../upstream/testdata/page-example.json", import.meta.url), "utf8"));
const settings = Object.keys(example.provider).filter((key) => /^(client|access_|refresh_|include|signing|redirect|sub_|issuer|jwks)/.test(key));
const generic = Object.fromEntries(Object.entries(example.provider).filter(([key]) => !settings.includes(key)));
const zeros = { next: 0, previous: 0, count: 0, current: 0, total_pages: 0, start_index: 0, end_index: 0 };

/** prism plays Prism with a document of a release whose grants have that provider. */
async function prism(provider, rows = 1) {
  const grant = { ...example, provider };
  const server = createServer((request, response) => {
    const send = (status, type, body) => response.writeHead(status, { "Content-Type": type }).end(body && JSON.stringify(body));
    const [path] = request.url.split("?");
    if (!request.headers.authorization) return send(401, "application/problem+json", { title: "Invalid security scheme used" });
    if (/^\/oauth2\/\w+\/\d+\/$/.test(path)) return request.method === "DELETE" ? send(204, "text/plain") : send(200, "application/json", grant);
    if (/^\/providers\/oauth2\/\d+\/$/.test(path)) return send(200, "application/json", example.provider);
    if (/^\/oauth2\/\w+\/$/.test(path)) return send(200, "application/json", { pagination: zeros, results: Array(rows).fill(grant) });
    send(404, "application/problem+json", { title: "Route not resolved, no path matched" });
  });
  after(() => server.close());
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server.address().port;
}

/** start runs a program until the tests end, and returns what `find` finds first in a line of its output. */
async function start(command, args, options, find) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  after(() => child.kill());
  const lines = [];
  const found = (stream) =>
    new Promise((resolve) => createInterface({ input: stream }).on("line", (line) => (lines.push(line), find(line) && resolve(find(line)))));
  const ended = new Promise((_, reject) => child.on("exit", () => reject(new Error(`${command} ended:\n${lines.join("\n")}`))));
  ended.catch(() => {});
  return Promise.race([found(child.stdout), found(child.stderr), ended]);
}

/** startService starts the service with mock.js in front of Prism, or with Prism itself, and returns how to ask it. */
async function startService(port, { direct = false } = {}) {
  let address = `127.0.0.1:${port}`;
  if (!direct) {
    const code = guide(/```js\n\/\/ mock\.js\n(.*?)```/s)
      .replace("127.0.0.1:4010", address)
      .replace('.listen(9010, "127.0.0.1")', '.listen(0, "127.0.0.1", function () { console.log(`port ${this.address().port}`); })');
    const { dir } = project({ "mock.js": code });
    address = `127.0.0.1:${await start("node", ["mock.js"], { cwd: dir }, (line) => line.match(/^port (\d+)$/)?.[1])}`;
  }
  const env = { ...process.env, AUTHENTIK_URL: `http://${address}`, LISTEN_ADDR: "127.0.0.1:0", ADMIN_ADDR: "off", REDACT: "none" };
  const service = await start("authentik-graphql", [], { env }, (line) => line.match(/"msg":"listening","address":"([^"]+)"/)?.[1]);
  return async (query) => {
    const headers = { "Content-Type": "application/json", Authorization: "Bearer anything" };
    return (await fetch(`http://${service}/graphql`, { method: "POST", headers, body: JSON.stringify({ query }) })).json();
  };
}

for (const [release, provider] of [["whole", example.provider], ["generic", generic]]) {
  test(`a mock server, with the ${release} provider in a grant`, async () => {
    const ask = await startService(await prism(provider, 3));
    assert.deepEqual(await ask("{ authorizationCode(id: 17) { id provider { id name clientId } user { id username groups { numPk } } } }"), {
      data: {
        authorizationCode: { id: "17", provider: { id: "1", name: "string", clientId: "string" }, user: { id: "0", username: "string", groups: [{ numPk: 0 }] } },
      },
    });
    assert.deepEqual(await ask("{ refreshTokens { totalCount nodes { id claims provider { clientType } } } }"), {
      data: {
        refreshTokens: { totalCount: 3, nodes: ["3", "2", "1"].map((id) => ({ id, claims: null, provider: { clientType: "CONFIDENTIAL" } })) },
      },
    });
    assert.deepEqual(await ask("{ accessTokens(order: OLDEST_FIRST) { nodes { id } } }"), { data: { accessTokens: { nodes: ["1", "2", "3"].map((id) => ({ id })) } } });
    assert.deepEqual(await ask("{ oauth2Provider(id: 3) { id name clientId } }"), { data: { oauth2Provider: { id: "3", name: "string", clientId: "string" } } });
    assert.deepEqual(await ask("mutation { revokeAccessToken(id: 5) { id uncertain } }"), { data: { revokeAccessToken: { id: "5", uncertain: false } } });
  });
}

test("a mock server without mock.js", async () => {
  const ask = await startService(await prism(example.provider), { direct: true });
  const { errors } = await ask("{ authorizationCode(id: 17) { id } }");
  assert.deepEqual(errors.map(({ extensions }) => extensions.code), ["UPSTREAM_INVALID_RESPONSE"]);
});
