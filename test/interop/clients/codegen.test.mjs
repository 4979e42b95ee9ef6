import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { project } from "./project.mjs";
import { page, url } from "./service.mjs";

// docs/clients.md has the program that a user writes. This one selects every field.
const document = readFileSync(new URL("../../../graph/testdata/every-field.graphql", import.meta.url), "utf8");

const config = `
import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: { "${url}": { headers: { Authorization: "Bearer demo-alice" } } },
  documents: "src/*.graphql",
  generates: {
    "src/gql/": {
      preset: "client",
      config: { scalars: { DateTime: "string", UUID: "string", JSON: "unknown" } },
    },
  },
  emitLegacyCommonJSImports: false,
};
export default config;
`;

const program = `
import { GraphQLClient } from "graphql-request";
import { EveryFieldDocument, PageDocument, type EveryFieldQuery, type PageQuery } from "./gql/graphql.js";

const client = new GraphQLClient("${url}", { headers: { Authorization: "Bearer demo-root" } });
const { authorizationCode }: EveryFieldQuery = await client.request(EveryFieldDocument, { id: "17" });
const code = authorizationCode!;
const fetchedAt: string = code.fetchedAt;
const expires: string | null = code.expires;
const scope: string[] = code.scope;
const flow: string | null = code.provider!.authorizationFlow;
const kind: "CONFIDENTIAL" | "PUBLIC" | "UNKNOWN" | null = code.provider!.clientType;
const attributes: unknown = code.user!.attributes;

const { authorizationCodes }: PageQuery = await client.request(PageDocument, { first: 2 });
const page = authorizationCodes!;
const ids: string[] = page.edges.map((edge) => edge.node.id);
const cursor: string = page.edges[0]!.cursor;
const end: string | null = page.pageInfo.endCursor;
const total: number = page.totalCount;

// Nullable fields are nullable in the types, and values of any JSON are unknown.
export const mistakes = [
  // @ts-expect-error
  () => code.user.username,
  // @ts-expect-error
  () => code.user!.attributes.settings,
  // @ts-expect-error
  () => client.request(EveryFieldDocument, {}),
  // @ts-expect-error
  () => authorizationCodes.edges,
  // @ts-expect-error
  () => page.pageInfo.endCursor.length,
];

console.log(JSON.stringify({ fetchedAt, expires, scope, flow, kind, attributes, ids, end, cursor, total }));
`;

test("every field is typed, and the types tell the truth", async () => {
  const app = project({ "codegen.ts": config, "src/every-field.graphql": document, "src/page.graphql": page(), "src/main.ts": program });
  await app.sh("npx graphql-codegen");
  await app.sh("npx tsc --strict --module nodenext --rootDir src --outDir dist src/main.ts");
  const got = JSON.parse(await app.sh("node dist/main.js"));
  assert.equal(got.expires, "2099-12-31T23:59:59Z");
  assert.match(got.fetchedAt, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(got.scope, ["openid", "email", "profile"]);
  assert.match(got.flow, /^[0-9a-f-]{36}$/);
  assert.equal(got.kind, "CONFIDENTIAL");
  assert.equal(typeof got.attributes, "object");
  assert.deepEqual([got.ids[0], got.ids.length], ["17", 2]);
  assert.ok(got.total > 2 && got.end && got.end !== got.cursor, `${got.total} in all, from ${got.cursor} to ${got.end}`);
});
