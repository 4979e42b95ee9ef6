// The requests to the service, and what its errors mean to the user.

const endpoint = 'graphql'; // relative, so that the page also works below a path prefix
const second = 1000;
const patience = 30 * second; // the service answers sooner, with an error if need be

const fields = `id isExpired expires scope fetchedAt
      user { username name }
      provider { name assignedApplicationName }`;
const page = (name, list, more = '') => `query ${name}($after: String) {
  page: ${list}(first: 20, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { ${fields} ${more} }
  }
}`;
const revocation = (name, mutation) => `mutation ${name}($id: ID!) {
  done: ${mutation}(id: $id) { id uncertain }
}`;

// The three kinds of grants, by the value of their switch.
export const kinds = {
  codes: {
    one: 'code',
    many: 'codes',
    page: page('Codes', 'authorizationCodes'),
    revoke: revocation('RevokeCode', 'revokeAuthorizationCode'),
    effect: 'The application can no longer exchange it for tokens: the person has to sign in again.',
  },
  accessTokens: {
    one: 'access token',
    many: 'access tokens',
    page: page('AccessTokens', 'accessTokens', 'revoked'),
    revoke: revocation('RevokeAccessToken', 'revokeAccessToken'),
    effect: 'authentik stops accepting it. Applications that check tokens by themselves accept it until it expires.',
  },
  refreshTokens: {
    one: 'refresh token',
    many: 'refresh tokens',
    page: page('RefreshTokens', 'refreshTokens', 'revoked'),
    revoke: revocation('RevokeRefreshToken', 'revokeRefreshToken'),
    effect: 'The application gets no new access token with it; those that it has stay.',
  },
};

// What each error means to the user. `pause` is the time to the next attempt in seconds, and doubles with
// each repetition; without it there is none. `keeps` leaves the list on the page: the caller may see it,
// but it cannot be updated.
const faults = {
  __proto__: null, // the service names the key
  UNAUTHENTICATED: { sentence: 'This token is not accepted: enter another one above.' },
  FORBIDDEN: { sentence: 'You are not allowed to see these.', pause: 30 },
  RATE_LIMITED: { sentence: 'There were too many requests.', pause: 5, keeps: true },
  UPSTREAM_ERROR: { sentence: 'authentik failed to answer.', pause: 2, keeps: true },
  UPSTREAM_UNAVAILABLE: { sentence: 'authentik cannot be reached or is still starting.', pause: 2, keeps: true },
  GATEWAY_TIMEOUT: { sentence: 'authentik did not answer in time.', pause: 2, keeps: true },
  UPSTREAM_INVALID_RESPONSE: { sentence: 'authentik’s answer could not be understood.', pause: 5, keeps: true },
  OVERLOADED: { sentence: 'The service has too much to do.', pause: 5, keeps: true },
  INTERNAL_SERVER_ERROR: { sentence: 'Something went wrong in the service.', pause: 5, keeps: true, quote: true },
  NETWORK: { sentence: 'The service cannot be reached.', pause: 2, keeps: true },
  HTTP: { sentence: 'The service, or a proxy before it, gave no proper answer.', pause: 5, keeps: true },
};
const otherFault = { sentence: 'The service refused the request.', pause: 30, quote: true };

export function faultOf(answer) {
  const fault = faults[answer.code] ?? otherFault;
  const sentence = fault.quote && answer.requestId ? `${fault.sentence} Quote the request id ${answer.requestId}.` : fault.sentence;
  return { ...fault, sentence };
}

// clock follows the service's clock, because the browser's may be wrong. Each answer bounds how far the
// service's clock is ahead of performance.now(), which cannot be set.
export const clock = {
  low: -Infinity,
  high: Infinity,
  learn(sent, received, date) {
    if (Number.isNaN(date)) return;
    const low = date - received;
    const high = date + second - sent; // a Date header is truncated to the second
    const fits = low <= this.high && high >= this.low;
    this.low = fits ? Math.max(low, this.low) : low; // otherwise the computer slept or the service's clock was set
    this.high = fits ? Math.min(high, this.high) : high;
  },
  now() {
    return performance.now() + (this.high < Infinity ? (this.low + this.high) / 2 : performance.timeOrigin);
  },
};

// ask sends a query or a mutation. The result holds data, or the code of an error.
export async function ask(query, variables, token, signal) {
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const limit = AbortSignal.timeout(patience);
  const sent = performance.now();
  let response, body;
  try {
    response = await fetch(endpoint, {
      method: 'POST',
      headers,
      body: JSON.stringify({ query, variables }),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    clock.learn(sent, performance.now(), Date.parse(response.headers.get('Date') ?? ''));
    body = await response.json().catch((error) => {
      if (error instanceof SyntaxError) return null;
      throw error; // the connection broke
    });
  } catch {
    return { code: 'NETWORK' };
  }
  const data = body?.data?.page ?? body?.data?.done;
  if (data) {
    const fetchedAt = new Date(clock.now() - Number(response.headers.get('Age')) * second);
    return { data, fetchedAt, stale: body.extensions?.cache?.status === 'STALE', maxAge: maxAge(response) };
  }
  const { message, extensions } = body?.errors?.[0] ?? {};
  return {
    code: extensions?.code ? String(extensions.code) : 'HTTP',
    detail: extensions?.code ? '' : `HTTP ${response.status}`,
    message,
    upstreamStatus: extensions?.upstreamStatus,
    requestId: extensions?.requestId ?? response.headers.get('X-Request-ID'),
    retryAfter: extensions?.retryAfter ?? Number(response.headers.get('Retry-After')),
  };
}

// maxAge is how long an answer stays fresh, in seconds. The service states the remaining time.
function maxAge(response) {
  const match = /(?:^|,)\s*max-age=(\d+)/.exec(response.headers.get('Cache-Control') ?? '');
  return match ? Number(match[1]) : 0;
}
