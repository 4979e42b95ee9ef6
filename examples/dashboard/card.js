// One grant on the page. Everything from the service is inserted as text, never as HTML.

import { clock } from './service.js';
import { countdown, duration, moment, write } from './text.js';

const second = 1000;
const template = document.getElementById('card').content.firstElementChild;

export class Card {
  below = false; // older than the newest page, which is the only one that is polled
  working = false; // a revocation is running
  outcome = null; // of a revocation: { gone, sentence, code }
  settled = 0; // when, by performance.now()

  constructor(kind, id, revoke) {
    this.kind = kind;
    this.id = id;
    this.name = kind.one[0].toUpperCase() + kind.one.slice(1) + ` ${id}`;
    this.element = template.cloneNode(true);
    this.element.dataset.id = id;
    this.parts = {};
    for (const part of this.element.querySelectorAll('[data-part]')) this.parts[part.dataset.part] = part;
    write(this.parts.id, this.name);
    this.parts.revoke.addEventListener('click', () => revoke(this));
  }

  // application and person are the names that users know.
  get application() {
    return this.grant.provider?.assignedApplicationName || this.grant.provider?.name || 'Unknown application';
  }

  get person() {
    const { name, username } = this.grant.user ?? {};
    return [name, username].filter(Boolean).join(' · ') || 'Unknown user';
  }

  // show writes what changes with an answer, tick what changes with time.
  show(grant = this.grant) {
    this.grant = grant;
    const { parts, outcome } = this;
    write(parts.title, this.application);
    write(parts.user, this.person);
    parts.revoke.setAttribute('aria-label', `Revoke ${this.kind.one} ${this.id}: ${this.application}, ${this.person}`);
    const scopes = [...new Set(this.grant.scope)].sort();
    if (parts.scopes.childElementCount !== scopes.length) {
      parts.scopes.replaceChildren(...scopes.map((scope) => {
        const item = document.createElement('li');
        item.textContent = scope;
        return item;
      }));
    }
    parts.outcome.hidden = !outcome?.sentence;
    write(parts.sentence, outcome?.sentence ?? '');
    write(parts.code, outcome?.code ?? '');
    this.tick();
  }

  tick() {
    const { parts, element } = this;
    const life = this.outcome?.gone ? { state: 'ended', left: this.outcome.gone, note: '' } : lifetime(this.grant);
    this.ended = life.state === 'ended';
    element.dataset.state = life.state;
    write(parts.left, life.left);
    write(parts.note, life.note);
    write(parts.age, this.below && !this.outcome?.gone ? `As of ${age(this.grant.fetchedAt)}` : '');
    write(parts.revoke, this.working ? 'Revoking…' : 'Revoke');
    parts.revoke.ariaDisabled = String(this.working); // not disabled, which would lose the focus
    if (this.ended && document.activeElement === parts.revoke) element.focus();
    parts.revoke.hidden = this.ended;
  }
}

// age formats how long ago authentik answered.
export function age(fetchedAt) {
  const seconds = Math.floor((clock.now() - new Date(fetchedAt)) / second);
  return seconds > 0 ? `${duration(seconds)} ago` : 'now';
}

// lifetime describes a grant's present state.
function lifetime(grant) {
  if (grant.revoked) return { state: 'ended', left: 'Revoked', note: 'kept to notice a second use' };
  const expires = Date.parse(grant.expires);
  // A grant that authentik reports as valid after its `expires` does not expire.
  const endless = !grant.isExpired && (grant.expires === null || expires <= Date.parse(grant.fetchedAt));
  if (endless) return { state: 'endless', left: 'Never expires', note: '' };
  const left = Math.ceil((expires - clock.now()) / second);
  if (grant.isExpired || left <= 0) {
    return { state: 'ended', left: 'Expired', note: left <= 0 ? `${duration(-left)} ago` : '' };
  }
  const note = `${left < 172800 ? 'left, until' : 'until'} ${moment(expires, clock.now())}`;
  return { state: left <= 15 ? 'ending' : 'live', left: countdown(left), note };
}
