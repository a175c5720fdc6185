// The stream: one connection that tells what this page looks at. Another view is another connection.

import { assembled } from './state.js';

/** How many models a page of the list has. */
export const PAGE = 50;

const PATIENCE = 3000;

function pathOf({ model, search, sort, offset }, known) {
  const query = new URLSearchParams({ limit: PAGE, sort });
  if (search) query.set('search', search);
  if (offset) query.set('offset', offset);
  if (model !== null) query.set('model', model);
  if (known) query.set('lastEventId', known);
  return `/api/v1/stream?${query}`;
}

/** A stream that is closed: {open(view), close(), isOpen}. Calls state(state, isFirst), events(list), lost(). */
export function stream({ state, events, lost }) {
  let source = null;
  let retry = null;
  let known = '';

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function open(view) {
    close();
    const opened = new EventSource(pathOf(view, known));
    source = opened;
    // Each connection begins with everything that is looked at.
    let parts = assembled();
    let isFirst = true;
    opened.addEventListener('open', () => { parts = assembled(); isFirst = true; });
    opened.addEventListener('state', (event) => {
      const next = parts.take(JSON.parse(event.data));
      const wasFirst = isFirst;
      isFirst = false;
      state(next, wasFirst);
    });
    opened.addEventListener('events', (event) => {
      known = event.lastEventId;
      events(JSON.parse(event.data));
    });
    opened.addEventListener('error', () => {
      // A refusal ends an EventSource for good; a broken connection it mends by itself.
      if (opened.readyState === EventSource.CLOSED && opened === source) {
        clearTimeout(retry);
        retry = setTimeout(() => open(view), PATIENCE);
      }
      lost();
    });
  }

  return { open, close, get isOpen() { return source !== null; } };
}
