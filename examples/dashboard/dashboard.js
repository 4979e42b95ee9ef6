// A dashboard of what authentik has granted, in plain JavaScript without a build step: it polls the
// newest page of a list, shows each grant with a countdown, and revokes one on request.

import { Card, age } from './card.js';
import { question, revoke } from './revocation.js';
import { ask, faultOf, kinds } from './service.js';
import { announce, duration, write } from './text.js';

const second = 1000;
const shortestPause = 2; // seconds between two requests of the newest page
const longestPause = 60;
const remembrance = 60 * second; // how long a grant is still shown after it was revoked

const $ = (id) => document.getElementById(id);
let token = ''; // here and in its input field, and nowhere else

// List is one kind of grants as one caller sees it. A change of kind or caller starts a new one, so that
// no caller sees what another saw.
class List {
  cards = new Map(); // by id
  total = null; // authentik's last count
  more = null; // the last page's pageInfo, for the next one
  longer = false; // whether more than the newest page was requested
  answer = null; // the last one without an error
  fault = null; // the last answer, if it was an error
  failures = 0; // in a row
  due = 0; // when to ask next, by performance.now()
  asking = new Set(); // the cursors of running requests
  aborter = new AbortController();

  constructor(kind) {
    this.kind = kind;
  }

  // page requests the page after a cursor, or the newest. It returns null once the list is replaced.
  async page(after) {
    if (this.asking.has(after)) return null;
    this.asking.add(after);
    const answer = await ask(this.kind.page, { after }, token, this.aborter.signal);
    this.asking.delete(after);
    if (this !== list) return null;
    if (answer.data) return answer;
    this.fail(answer);
    return null;
  }

  async poll() {
    const answer = await this.page(null);
    if (answer) this.takeNewest(answer);
    render();
  }

  // takeNewest removes the grants that the newest page should contain and does not. Older grants stay as
  // they were, unless the new ones leave a gap in between.
  takeNewest(answer) {
    const { nodes, pageInfo, totalCount } = answer.data;
    const end = Number(nodes.at(-1)?.id ?? 0);
    const below = this.longer && pageInfo.hasNextPage && [...this.cards.keys()].some((id) => Number(id) >= end);
    const ids = new Set(nodes.map(({ id }) => id));
    for (const [id, card] of this.cards) {
      card.below = below && Number(id) < end;
      if (!ids.has(id) && !card.below && !this.remembers(card)) this.cards.delete(id);
    }
    this.show(nodes, false);
    if (!below) Object.assign(this, { more: pageInfo, longer: false });
    if (this.fault) announce('The list is shown again.');
    Object.assign(this, { answer, total: totalCount, fault: null, failures: 0 });
    this.wait(Math.max(answer.maxAge, shortestPause));
  }

  async showMore() {
    const { more } = this;
    this.longer = true;
    const answer = await this.page(more.endCursor);
    if (answer && this.more === more) { // otherwise there is a gap now
      this.more = answer.data.pageInfo;
      this.show(answer.data.nodes, true);
      announce(`${answer.data.nodes.length} more ${this.kind.many} are shown.`);
    }
    render();
  }

  show(nodes, below) {
    for (const grant of nodes) {
      if (!this.cards.has(grant.id)) this.cards.set(grant.id, new Card(this.kind, grant.id, askAndRevoke));
      const card = this.cards.get(grant.id);
      card.below = below;
      card.show(grant);
    }
  }

  // remembers reports whether a deleted grant is still shown, with the outcome of its revocation.
  remembers(card) {
    return card.working || Boolean(card.outcome?.gone) && performance.now() - card.settled < remembrance;
  }

  fail(answer) {
    const fault = faultOf(answer);
    const again = this.fault?.code === answer.code;
    this.failures = again ? this.failures + 1 : 1;
    this.fault = answer;
    if (!fault.keeps) Object.assign(this, { cards: new Map(), total: null, more: null, longer: false, answer: null });
    this.wait(fault.pause ? Math.max(Math.min(fault.pause * 2 ** (this.failures - 1), longestPause), answer.retryAfter || 0) : Infinity);
    if (!again) announce(this.sentence());
  }

  wait(seconds) {
    this.due = performance.now() + seconds * second;
  }

  sentence() {
    return this.fault.code === 'UNAUTHENTICATED' && !token ? 'Enter a token above.' : faultOf(this.fault).sentence;
  }

  again() {
    if (this.asking.has(null)) return 'asking again…';
    if (this.due === Infinity) return 'not asked again by itself';
    const verb = this.fault.retryAfter ? 'retry' : 'asked again';
    return `${verb} in ${duration(Math.max(0, Math.ceil((this.due - performance.now()) / second)))}`;
  }

  freshness() {
    if (!this.answer) return this.asking.size > 0 ? 'Asking…' : '';
    const word = this.fault ? 'Last known, as' : this.answer.stale ? 'Stale, as' : 'As';
    return `${word} of ${age(this.answer.fetchedAt)}`;
  }
}

let list = new List(kinds.codes);

// restart replaces the list by an empty one.
function restart(kind) {
  list.aborter.abort();
  list = new List(kind);
  render();
  tick();
}

function askAndRevoke(card) {
  if (card.working) return;
  const asked = list;
  question(card, async () => {
    await revoke(card, token);
    if (asked !== list) return;
    list.due = 0; // poll now: the service no longer lists it
    tick();
  });
}

// render sorts the cards, newest first. A card in its place is not moved, so that it keeps the focus.
function render() {
  const place = $('cards');
  const cards = [...list.cards.values()].sort((a, b) => b.id - a.id).map((card) => card.element);
  const wanted = new Set(cards);
  for (const element of [...place.children]) {
    if (wanted.has(element)) continue;
    const next = element.contains(document.activeElement) && (element.nextElementSibling ?? element.previousElementSibling ?? $('refresh'));
    element.remove();
    if (next) next.focus();
  }
  cards.forEach((element, i) => {
    if (place.children[i] !== element) place.insertBefore(element, place.children[i] ?? null);
  });
  $('fault').hidden = !list.fault;
  if (list.fault) {
    write($('fault-sentence'), list.sentence());
    write($('fault-code'), list.fault.detail || list.fault.code);
  }
  $('more').hidden = !list.more?.hasNextPage;
  update();
}

// update writes what changes over time.
function update() {
  const liveOnly = $('live').checked;
  let shown = 0;
  for (const card of list.cards.values()) {
    card.tick();
    card.element.hidden = liveOnly && card.ended && !card.outcome;
    if (!card.element.hidden && !card.outcome?.gone) shown++;
  }
  const { many } = list.kind;
  write($('count'), list.total === null ? many[0].toUpperCase() + many.slice(1) : `${shown} of ${list.total.toLocaleString('en')} ${many}`);
  write($('freshness'), list.freshness());
  $('freshness').dataset.freshness = !list.answer ? 'none' : list.fault || list.answer.stale ? 'old' : 'fresh';
  write($('fault-again'), list.fault ? list.again() : '');
  $('empty').hidden = list.total === null || [...list.cards.values()].some((card) => !card.element.hidden);
  write($('empty'), list.cards.size > 0 ? `None of these ${many} is live.` : `There are no ${many} that you may see.`);
}

// tick updates every countdown and polls when it is time. A hidden tab pauses.
function tick() {
  if (document.hidden) return;
  if (list.due <= performance.now()) list.poll();
  update();
}

function useToken() {
  const field = $('token');
  if (!field.checkValidity() || field.value === token) return;
  token = field.value;
  for (const button of $('callers').children) button.setAttribute('aria-pressed', String(button.value === token));
  restart(list.kind);
}

// offer adds a button for each token that the demo suggests. A real service suggests none.
async function offer() {
  const response = await fetch('dashboard/examples.json').catch(() => null);
  const suggested = response?.ok ? await response.json().catch(() => null) : null;
  for (const { label, token: value } of suggested?.callers ?? []) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.value = value;
    button.addEventListener('click', () => { $('token').value = value; useToken(); });
    $('callers').append(button);
  }
  $('callers').firstElementChild?.click();
}

$('token-form').addEventListener('submit', (event) => { event.preventDefault(); useToken(); });
$('token').addEventListener('change', useToken);
$('token-show').addEventListener('click', ({ currentTarget }) => {
  const shown = currentTarget.getAttribute('aria-pressed') !== 'true';
  currentTarget.setAttribute('aria-pressed', String(shown));
  $('token').type = shown ? 'text' : 'password';
});
for (const input of document.querySelectorAll('[name=kind]')) {
  input.addEventListener('change', () => restart(kinds[input.value]));
}
$('live').addEventListener('change', update);
$('more').addEventListener('click', () => list.showMore());
$('refresh').addEventListener('click', () => list.poll());
document.addEventListener('visibilitychange', tick);
await offer();
tick();
setInterval(tick, second / 4);
