// The backends of a model: health, load, and taking one out of service or back in.

import { call, modelPath } from './api.js';
import { attempt, confirmed } from './confirm.js';
import { h, keyed, mark, say } from './dom.js';
import { count, rate } from './format.js';

const STATES = {
  ready: 'takes requests',
  drain: 'finishes what it has',
  maint: 'out of service, not probed',
};

/** Rows that are shown unless all are asked for. */
const USUAL = 50;

/** The table of a model's backends: {element, update(model)}. */
export function backendTable() {
  const body = h('tbody');
  const more = h('button', { type: 'button', class: 'plain', onclick: () => { isWhole = !isWhole; show(); } });
  let isWhole = false;
  const element = h('section', { class: 'backends' },
    h('h3', {}, 'Backends'),
    h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Backends' },
      h('table', { class: 'stack' },
        h('thead', {}, h('tr', {}, ...['Revision', 'Address', 'Health', 'State', 'In flight', 'Req/s', ''].map((text, index) =>
          h('th', { scope: 'col', class: index === 4 || index === 5 ? 'number' : null }, text || h('span', { class: 'hidden' }, 'Change'))))),
        body)),
    more);
  let model;
  let busiest = 1;

  const draw = keyed(body, (row) => `${row.revision}\n${row.backend.address}`, (first) => {
    const cells = {
      name: h('span'), address: h('span'), health: h('span', { class: 'pill' }), reason: h('span', { class: 'reason' }), state: h('span', { class: 'state' }),
      flying: h('span'), bar: h('i'), rate: h('td', { class: 'number', 'data-label': 'Req/s' }),
    };
    let row = first;
    const buttons = Object.keys(STATES).map((state) => h('button', {
      type: 'button', class: 'plain small', 'data-state': state, onclick: () => change(row, state),
    }, state === 'ready' ? 'Put back' : state === 'drain' ? 'Drain' : 'Maintenance'));
    const element = h('tr', {},
      h('th', { scope: 'row', 'data-label': 'Revision' }, h('i', { class: 'swatch' }), cells.name),
      h('td', { class: 'address', 'data-label': 'Address' }, cells.address),
      h('td', { 'data-label': 'Health' }, cells.health, cells.reason),
      h('td', { 'data-label': 'State' }, cells.state),
      h('td', { class: 'number load', 'data-label': 'In flight' }, cells.flying, h('span', { class: 'bar' }, cells.bar)),
      cells.rate,
      h('td', { class: 'controls' }, ...buttons));
    return {
      element,
      update(next) {
        row = next;
        const { backend } = row;
        const state = backend.state ?? 'ready';
        mark(element, 'data-colour', row.colour);
        say(cells.name, row.revision);
        say(cells.address, backend.address);
        mark(cells.address, 'title', (backend.protocols ?? []).join(' and '));
        say(cells.health, backend.health ?? 'unknown');
        mark(cells.health, 'data-health', backend.health ?? 'unknown');
        say(cells.reason, backend.reason ?? '');
        mark(cells.reason, 'hidden', !backend.reason);
        say(cells.state, state);
        mark(cells.state, 'title', STATES[state]);
        mark(cells.state, 'data-state', state);
        say(cells.flying, count(backend.inFlight));
        cells.bar.style.inlineSize = `${Math.min(100, (100 * (backend.inFlight ?? 0)) / busiest)}%`;
        say(cells.rate, rate(backend.requestsPerSecond));
        for (const button of buttons) {
          const target = button.dataset.state;
          mark(button, 'hidden', backend.state === undefined || target === state);
          mark(button, 'aria-label', `${button.textContent} ${backend.address} of ${row.revision}`);
        }
      },
    };
  });

  async function change({ revision, backend }, state) {
    const others = model.revisions.find((other) => other.name === revision)?.backends ?? [];
    const isLast = state !== 'ready' && !others.some((other) => other.address !== backend.address
      && other.health === 'up' && (other.state ?? 'ready') === 'ready');
    if (state !== 'ready') {
      const verb = state === 'drain' ? 'Drain' : 'Put in maintenance';
      const isWanted = await confirmed(`${verb}: ${backend.address}?`, [
        h('p', {}, `It gets no new request of ${model.name} ${revision}. ${count(backend.inFlight)} under way finish.`),
        isLast ? h('p', { class: 'warning' }, `No other backend of ${revision} is up: its requests will fail or go to other revisions.`) : null,
      ].filter(Boolean), verb, isLast);
      if (!isWanted) return;
    }
    await attempt(
      () => call('PUT', modelPath(model.name, 'revisions', revision, 'backends', backend.address), { state }),
      () => `${backend.address} of ${revision}: ${state}, ${STATES[state]}.`);
  }

  const isWell = ({ backend }) => backend.health === 'up' && (backend.state ?? 'ready') === 'ready';

  function show() {
    const rows = model.revisions.flatMap((revision, index) => (revision.backends ?? []).map((backend) => ({
      revision: revision.name, colour: index % 6, backend,
    })));
    busiest = Math.max(4, ...rows.map(({ backend }) => backend.inFlight ?? 0));
    // Of many, those that need a look come first.
    const isLong = rows.length > USUAL;
    const sorted = isLong ? [...rows.filter((row) => !isWell(row)), ...rows.filter(isWell)] : rows;
    draw(isWhole ? sorted : sorted.slice(0, USUAL));
    mark(more, 'hidden', !isLong);
    say(more, isWhole ? `Show ${USUAL} backends` : `Show all ${count(rows.length)} backends`);
  }

  return {
    element,
    update(next) {
      model = next;
      show();
    },
  };
}
