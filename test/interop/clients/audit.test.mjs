// The graphql-http project's audit of the GraphQL over HTTP specification.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serverAudits } from "graphql-http";
import { headers, url } from "./service.mjs";

const audits = serverAudits({
  url,
  fetchFn: (input, init = {}) => fetch(input, { ...init, headers: { ...headers, ...init.headers } }),
});
let ok = 0;

for (const audit of audits) {
  test(audit.name, async () => {
    const result = await audit.fn();
    // A SHOULD or a MAY that does not hold is reported as a warning or a notice.
    assert.equal(result.status, "ok", result.reason);
    ok++;
  });
}

test("all", () => {
  console.log(`${ok}/${audits.length}`);
  assert.equal(audits.length, 61);
  assert.equal(ok, 61);
});
