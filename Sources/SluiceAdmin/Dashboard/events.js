// What has been changed: when, by whom, from what to what.

import { h, keyed, mark, say } from './dom.js';
import { clock } from './format.js';

const MAXIMUM = 100;

/** The list of events, newest first: {all, add(events)}. */
export function eventList() {
  const list = document.getElementById('events');
  const nothing = document.getElementById('no-events');
  let known = [];
  const draw = keyed(list, (event) => event.id, (event) => {
    const sentence = event.message ?? [event.kind, event.model, event.from, event.to].filter(Boolean).join(' ');
    const when = new Date(event.time);
    return {
      element: h('li', { 'data-kind': event.kind },
        h('p', {}, sentence),
        h('p', { class: 'by' },
          h('time', { datetime: String(event.time), title: Number.isNaN(when.getTime()) ? null : when.toLocaleString() }, clock(event.time)),
          event.who && event.who !== event.kind ? ` by ${event.who}` : '')),
    };
  });
  return {
    get all() { return known; },
    /** Takes events it may have seen before; `fresh` drops the ones of an earlier process. */
    add(events, fresh = false) {
      const byId = new Map((fresh ? [] : known).map((event) => [event.id, event]));
      for (const event of events) byId.set(event.id, event);
      known = [...byId.values()].sort((a, b) => b.id - a.id).slice(0, MAXIMUM);
      draw(known);
      mark(nothing, 'hidden', known.length > 0);
      say(nothing, 'Nothing has been changed since the gateway started.');
    },
  };
}
