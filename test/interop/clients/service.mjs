// What the tests of all clients share: the service's address and its expected answers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** guide returns what the first group of a pattern matches in docs/clients.md. */
const text = readFileSync(new URL("../../../docs/clients.md", import.meta.url), "utf8");
export const guide = (pattern) => text.match(pattern)?.[1] ?? assert.fail(`docs/clients.md has no ${pattern}`);

export const url = `${process.env.SERVICE_URL}/graphql`;
export const headers = { Authorization: "Bearer demo-alice" };

export const document = `query Code($id: ID!) {
  authorizationCode(id: $id) {
    id
    expires
    fetchedAt
    scope
    user { id username groups { id name } }
    provider { id name clientId redirectUris { url } }
  }
}`;

/** A page of the codes, oldest first, as these are not deleted. `directive` is a directive of the client. */
export const page = (directive = "") => `query Page($first: Int!, $after: String) {
  authorizationCodes(first: $first, after: $after, order: OLDEST_FIRST) ${directive} {
    totalCount
    edges { cursor node { id user { id username } } }
    pageInfo { hasNextPage endCursor }
  }
}`;

export const revocation = `mutation Revoke($id: ID!) {
  revokeAuthorizationCode(id: $id) { id uncertain }
}`;

/** ids returns the ids of a page's codes. */
export const ids = (connection) => connection.edges.map(({ node }) => node.id);

/** What alice is shown of code 17. */
export const alice = {
  id: "17",
  expires: "2099-12-31T23:59:59Z",
  scope: ["openid", "email", "profile"],
  username: "alice",
  groups: ["engineers", "on-call"],
  provider: "Grafana",
};

/** summary reduces a code to the fields of alice. */
export function summary(code) {
  return {
    id: code.id,
    expires: code.expires,
    scope: [...code.scope],
    username: code.user.username,
    groups: code.user.groups.map((group) => group.name),
    provider: code.provider.name,
  };
}

/** The demo's ids with a fixed error, and its code. */
export const errors = {
  400: "BAD_USER_INPUT",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  429: "RATE_LIMITED",
  503: "UPSTREAM_UNAVAILABLE",
};

/** recorder returns a fetch that records the requests. */
export function recorder() {
  const requests = [];
  const record = async (input, init = {}) => {
    const request = new Request(input, init);
    requests.push({ method: request.method, url: new URL(request.url), body: init.body ? JSON.parse(init.body) : undefined });
    const response = await fetch(input, init);
    requests.at(-1).status = response.status;
    return response;
  };
  return { fetch: record, requests };
}
