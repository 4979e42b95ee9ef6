// A dashboard of authentik's OAuth2 authorization codes in plain JavaScript: it polls the service
// for each code and shows it with a countdown. Whatever the service sends reaches the page as text.

const endpoint = 'graphql'; // relative, so that the page also works below a path prefix
const query = `query Dashboard($id: ID!) {
  authorizationCode(id: $id) {
    isExpired
    expires
    scope
    fetchedAt
    user { username name }
    provider { name assignedApplicationName }
  }
}`;

const second = 1000;
const shortestPause = 2; // seconds between two requests for one code
const longestPause = 60;
const patience = 30 * second; // the service itself answers sooner, if only with an error
const mostCodes = 100;

// What each error means to the person who looks at it. `pause` is in seconds and doubles with each
// repetition; without it the code is not asked for again. `keeps` says that what was known is
// still shown: the caller may see it, only nothing newer is to be had.
const faults = {
  __proto__: null, // the service names the key
  UNAUTHENTICATED: { sentence: 'This token is not accepted: enter another one above.' },
  FORBIDDEN: { sentence: 'You are not allowed to see this code.', pause: 30 },
  NOT_FOUND: { sentence: 'There is no such code for you: it was redeemed, cleaned up, or is another user’s.', pause: 10 },
  BAD_USER_INPUT: { sentence: 'authentik does not accept this id: remove it and add another one.' },
  RATE_LIMITED: { sentence: 'There were too many requests.', pause: 5, keeps: true },
  UPSTREAM_ERROR: { sentence: 'authentik failed to answer.', pause: 2, keeps: true },
  UPSTREAM_UNAVAILABLE: { sentence: 'authentik cannot be reached or is still starting.', pause: 2, keeps: true },
  GATEWAY_TIMEOUT: { sentence: 'authentik did not answer in time.', pause: 2, keeps: true },
  UPSTREAM_INVALID_RESPONSE: { sentence: 'authentik’s answer could not be understood.', pause: 5, keeps: true },
  INTERNAL_SERVER_ERROR: { sentence: 'Something went wrong in the service.', pause: 5, keeps: true, quote: true },
  NETWORK: { sentence: 'The service cannot be reached.', pause: 2, keeps: true },
  HTTP: { sentence: 'The service, or a proxy before it, gave no proper answer.', pause: 5, keeps: true },
};
const otherFault = { sentence: 'The service refused the request.', pause: 30, quote: true };
const noToken = 'Enter a token above to see this code.';
const gone = 'This code is gone: it was redeemed or cleaned up.';

let token = ''; // here and in its input field, and nowhere else

// clock is the server's: the browser's may be wrong. Each answer bounds how far the server's clock
// is ahead of performance.now(), which nobody can set.
const clock = {
  low: -Infinity,
  high: Infinity,
  learn(sent, received, date) {
    if (Number.isNaN(date)) return;
    const low = date - received;
    const high = date + second - sent; // a Date header is cut to the second
    const fits = low <= this.high && high >= this.low;
    this.low = fits ? Math.max(low, this.low) : low; // else the computer slept or the server's clock was set
    this.high = fits ? Math.min(high, this.high) : high;
  },
  now() {
    return performance.now() + (this.low + this.high) / 2;
  },
};

// ask requests one code. Each has a request of its own: so each has its own freshness, and none
// waits for a slow one. The result holds a code or the key of a fault.
async function ask(id, signal) {
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const sent = performance.now();
  let response, body;
  try {
    response = await fetch(endpoint, {
      method: 'POST',
      headers,
      body: JSON.stringify({ query, variables: { id } }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]),
    });
    const received = performance.now();
    body = await response.json().catch((error) => {
      if (error instanceof SyntaxError) return null;
      throw error; // the connection broke
    });
    const code = body?.data?.authorizationCode;
    const age = Number(response.headers.get('Age'));
    const date = response.headers.get('Date') ? Date.parse(response.headers.get('Date')) : Date.parse(code?.fetchedAt) + age * second;
    clock.learn(sent, received, date);
    if (code) return { code, stale: body.extensions?.cache?.status === 'STALE', maxAge: maxAge(response) };
  } catch {
    return { fault: 'NETWORK' };
  }
  const extensions = body?.errors?.[0]?.extensions;
  return {
    fault: extensions?.code ? String(extensions.code) : 'HTTP',
    detail: extensions?.code ? '' : `HTTP ${response.status}`,
    requestId: extensions?.requestId ?? response.headers.get('X-Request-ID'),
    retryAfter: extensions?.retryAfter ?? Number(response.headers.get('Retry-After')),
  };
}

// maxAge is how long an answer stays fresh, in seconds. The service gives what is left of it.
function maxAge(response) {
  const match = /(?:^|,)\s*max-age=(\d+)/.exec(response.headers.get('Cache-Control') ?? '');
  return match ? Number(match[1]) : 0;
}

// Row is one code on the page.
class Row {
  code = null; // what is known of it
  stale = false;
  fault = null; // the last answer, if it was an error
  failures = 0; // in a row
  seen = false;
  due = 0; // when to ask next, by performance.now()
  request = null; // the AbortController of the request that runs

  constructor(id) {
    this.id = id;
    this.card = document.getElementById('card').content.firstElementChild.cloneNode(true);
    this.parts = {};
    for (const part of this.card.querySelectorAll('[data-part]')) this.parts[part.dataset.part] = part;
    this.card.dataset.id = id;
    this.parts.remove.setAttribute('aria-label', `Remove code ${id}`);
    this.parts.remove.addEventListener('click', () => remove(this));
    this.parts.refresh.setAttribute('aria-label', `Refresh code ${id}`);
    this.parts.refresh.addEventListener('click', () => this.poll());
    this.show();
  }

  async poll() {
    if (this.request) return;
    const request = new AbortController();
    this.request = request;
    const answer = await ask(this.id, request.signal);
    if (this.request !== request) return; // stopped meanwhile
    this.request = null;
    this.take(answer);
  }

  take(answer) {
    const before = this.fault?.fault;
    if (answer.code) {
      Object.assign(this, { code: answer.code, stale: answer.stale, fault: null, failures: 0, seen: true });
      this.wait(Math.max(answer.maxAge, shortestPause));
      if (before) announce(`Code ${this.id} is shown again.`);
    } else {
      const { pause, keeps } = faults[answer.fault] ?? otherFault;
      this.failures = before === answer.fault ? this.failures + 1 : 1;
      this.fault = answer;
      if (!keeps) this.code = null;
      this.wait(pause ? Math.max(Math.min(pause * 2 ** (this.failures - 1), longestPause), answer.retryAfter || 0) : Infinity);
      if (before !== answer.fault) announce(`Code ${this.id}: ${this.sentence()}`);
    }
    this.show();
  }

  wait(seconds) {
    this.due = performance.now() + seconds * second;
  }

  // stop ends a request that runs; its answer is not shown.
  stop() {
    this.request?.abort();
    this.request = null;
  }

  // reset forgets everything: another caller must not see what this one saw.
  reset() {
    this.stop();
    Object.assign(this, { code: null, stale: false, fault: null, failures: 0, seen: false, due: 0 });
    this.show();
  }

  sentence() {
    if (this.fault.fault === 'UNAUTHENTICATED' && !token) return noToken;
    if (this.fault.fault === 'NOT_FOUND' && this.seen) return gone;
    const { sentence, quote } = faults[this.fault.fault] ?? otherFault;
    return quote && this.fault.requestId ? `${sentence} Quote the request id ${this.fault.requestId}.` : sentence;
  }

  // show writes what changes with an answer, tick what changes with time.
  show() {
    const { code, fault, parts } = this;
    const application = code?.provider?.assignedApplicationName || code?.provider?.name;
    const { username, name } = code?.user ?? {};
    parts.title.textContent = code ? application || 'Unknown application' : `Code ${this.id}`;
    parts.user.textContent = code ? [name, username].filter(Boolean).join(' · ') || 'Unknown user' : '';
    parts.id.textContent = code ? `Code ${this.id}` : '';
    parts.scopes.replaceChildren(...[...new Set(code?.scope)].sort().map((scope) => {
      const item = document.createElement('li');
      item.textContent = scope;
      return item;
    }));
    parts.fault.hidden = !fault;
    if (fault) {
      write(parts.sentence, this.sentence());
      parts.code.textContent = fault.detail || fault.fault;
    }
    this.tick();
  }

  tick() {
    const { code, fault, parts } = this;
    const without = fault?.fault === 'NOT_FOUND' ? 'gone' : fault ? 'none' : 'waiting';
    const life = code ? lifetime(code) : { state: without, left: '', expires: '' };
    this.ended = life.state === 'expired' || life.state === 'gone';
    this.card.dataset.state = life.state;
    this.card.dataset.freshness = !code ? 'none' : fault ? 'kept' : this.stale ? 'stale' : 'fresh';
    write(parts.left, life.left);
    write(parts.expires, life.expires);
    write(parts.freshness, this.freshness());
    write(parts.again, fault ? this.again() : '');
  }

  freshness() {
    if (!this.code) return this.request ? 'Asking…' : '';
    const age = Math.max(0, Math.floor((clock.now() - Date.parse(this.code.fetchedAt)) / second));
    const word = this.fault ? 'Last known, as' : this.stale ? 'Stale, as' : 'As';
    return `${word} of ${age ? `${duration(age)} ago` : 'now'}`;
  }

  again() {
    if (this.request) return 'asking again…';
    if (this.due === Infinity) return 'not asked again by itself';
    const verb = this.fault.retryAfter ? 'retry' : 'asked again';
    return `${verb} in ${duration(Math.max(0, Math.ceil((this.due - performance.now()) / second)))}`;
  }
}

// lifetime says how a code stands at this moment.
function lifetime(code) {
  const expires = Date.parse(code.expires);
  // authentik calls a code alive whose end has passed if that end does not count.
  const endless = !code.isExpired && (code.expires === null || expires <= Date.parse(code.fetchedAt));
  if (endless) return { state: 'endless', left: 'Never expires', expires: '' };
  const left = Math.ceil((expires - clock.now()) / second);
  if (code.isExpired || left <= 0) {
    return { state: 'expired', left: 'Expired', expires: left <= 0 ? `${duration(-left)} ago` : '' };
  }
  const until = `${left < 86400 ? 'left, until' : 'until'} ${moment(expires)}`;
  return { state: left <= 15 ? 'ending' : 'live', left: countdown(left), expires: until };
}

// countdown writes seconds as mm:ss, with hours if there are any, and days alone if there are many.
function countdown(seconds) {
  const two = (n) => String(n).padStart(2, '0');
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days > 1) return `${days.toLocaleString('en')} days`;
  return `${hours ? `${hours}:` : ''}${two(minutes % 60)}:${two(seconds % 60)}`;
}

function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400).toLocaleString('en')} days`;
}

// moment writes a time of the server's clock in the reader's zone, with the day if it is far.
function moment(time) {
  const far = time - clock.now() > 43200 * second;
  return new Date(time).toLocaleString('en-GB', far ? { dateStyle: 'medium' } : { timeStyle: 'medium' });
}

// write leaves the page alone where nothing changes.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// announce tells people who do not see the page what changed; countdowns are not told.
const announcements = document.getElementById('announcements');
function announce(text) {
  const line = document.createElement('p');
  line.textContent = text;
  announcements.append(line);
  while (announcements.childElementCount > 10) announcements.firstElementChild.remove();
}

const rows = new Map(); // by id, in the order in which they were added
const list = document.getElementById('cards');
const idsField = document.getElementById('ids');
const tokenField = document.getElementById('token');

function add(ids) {
  for (const id of ids) {
    if (rows.has(id) || rows.size >= mostCodes) continue;
    const row = new Row(id);
    rows.set(id, row);
    list.append(row.card);
  }
  counted();
  tick();
}

function remove(...leaving) {
  const focused = leaving.find((row) => row.card.contains(document.activeElement));
  const next = focused?.card.nextElementSibling ?? focused?.card.previousElementSibling;
  for (const row of leaving) {
    row.stop();
    row.card.remove();
    rows.delete(row.id);
  }
  if (focused) (next?.querySelector('[data-part=remove]') ?? idsField).focus();
  counted();
}

function counted() {
  document.getElementById('count').textContent = rows.size === 1 ? '1 code' : `${rows.size || 'No'} codes`;
  document.getElementById('empty').hidden = rows.size > 0;
}

// tick moves every clock and asks for what is due. Nobody looks at a hidden tab: it rests.
function tick() {
  if (document.hidden) return;
  const now = performance.now();
  for (const row of rows.values()) {
    if (row.due <= now) row.poll();
    row.tick();
  }
}

function useToken() {
  if (!tokenField.checkValidity() || tokenField.value === token) return;
  token = tokenField.value;
  for (const row of rows.values()) row.reset();
  tick();
}

function addFromField() {
  const ids = idsField.value.split(/[\s,;]+/).filter(Boolean);
  const wrong = ids.find((id) => !/^[1-9]\d{0,9}$/.test(id) || Number(id) > 2147483647);
  const problem = wrong !== undefined ? `“${wrong}” is not an id: ids are whole numbers from 1 to 2147483647.`
    : new Set([...rows.keys(), ...ids]).size > mostCodes ? `This page shows at most ${mostCodes} codes.` : '';
  write(document.getElementById('ids-problem'), problem);
  idsField.setAttribute('aria-invalid', String(problem !== ''));
  if (problem) return;
  add(ids);
  idsField.value = '';
}

// examples asks for what the demonstration suggests; elsewhere there is no such file.
async function examples() {
  const response = await fetch('dashboard/examples.json').catch(() => null);
  return response?.ok ? response.json().catch(() => null) : null;
}

async function start() {
  const suggested = await examples();
  if (suggested) {
    tokenField.value = suggested.token;
    for (const { label } of suggested.examples) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = label;
      button.addEventListener('click', async () => {
        const now = await examples(); // codes come and go
        add(now?.examples.find((example) => example.label === label)?.ids ?? []);
      });
      document.getElementById('examples').append(button);
    }
    useToken();
    add(suggested.ids);
  }
  setInterval(tick, second / 4);
}

document.getElementById('token-form').addEventListener('submit', (event) => { event.preventDefault(); useToken(); });
tokenField.addEventListener('change', useToken);
document.getElementById('token-show').addEventListener('click', ({ currentTarget }) => {
  const shown = currentTarget.getAttribute('aria-pressed') !== 'true';
  currentTarget.setAttribute('aria-pressed', String(shown));
  tokenField.type = shown ? 'text' : 'password';
});
document.getElementById('add-form').addEventListener('submit', (event) => { event.preventDefault(); addFromField(); });
document.getElementById('clear').addEventListener('click', () => remove(...[...rows.values()].filter((row) => row.ended)));
document.addEventListener('visibilitychange', tick);
start();
