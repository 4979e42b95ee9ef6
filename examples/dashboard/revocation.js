// Revoking a grant: the confirmation and the outcome.

import { ask, faultOf } from './service.js';
import { announce, write } from './text.js';

const dialog = document.getElementById('revocation');
const parts = {};
for (const part of dialog.querySelectorAll('[data-part]')) parts[part.dataset.part] = part;
let confirmed; // called if the user confirms

parts.cancel.addEventListener('click', () => dialog.close());
parts.confirm.addEventListener('click', () => { dialog.close(); confirmed(); });

// question asks for confirmation. Cancel and Escape do nothing.
export function question(card, then) {
  confirmed = then;
  write(parts.question, `Revoke this ${card.kind.one}?`);
  write(parts.application, card.application);
  write(parts.user, card.person);
  write(parts.id, card.id);
  write(parts.effect, card.kind.effect);
  dialog.showModal(); // moves the focus to the element with autofocus, and back on close
}

// revoke sends the mutation and shows its outcome on the card.
export async function revoke(card, token) {
  Object.assign(card, { working: true, outcome: null });
  card.show();
  const outcome = outcomeOf(await ask(card.kind.revoke, { id: card.id }, token));
  Object.assign(card, { working: false, outcome, settled: performance.now() });
  card.show();
  announce(`${card.name}: ${[outcome.gone, outcome.sentence].filter(Boolean).join('. ')}`);
}

const unknown = 'It may be revoked or not: try again.';

function outcomeOf({ data, ...error }) {
  if (data?.uncertain) return { gone: 'Gone', sentence: 'authentik’s answer was lost. It is gone.' };
  if (data) return { gone: 'Revoked' };
  const { code, message, upstreamStatus } = error;
  switch (code) {
    case 'NOT_FOUND':
      return { gone: 'Gone', sentence: 'It was gone already: used, revoked or cleaned up.', code };
    case 'FORBIDDEN': // refused by authentik, or by the service for a reason of its own
      return { sentence: upstreamStatus === 403 ? 'You may not revoke this: authentik’s permission to delete it is missing.' : message, code };
    case 'RATE_LIMITED':
    case 'UNAUTHENTICATED':
      return { sentence: faultOf(error).sentence, code };
    case 'UPSTREAM_ERROR':
    case 'UPSTREAM_UNAVAILABLE':
    case 'GATEWAY_TIMEOUT':
    case 'UPSTREAM_INVALID_RESPONSE':
    case 'NETWORK':
    case 'HTTP':
      return { sentence: `${faultOf(error).sentence} ${unknown}`, code: error.detail || code };
  }
  return { sentence: faultOf(error).sentence, code };
}
