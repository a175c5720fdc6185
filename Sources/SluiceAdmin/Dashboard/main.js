// The page: takes the stream's states and hands them to its parts.

import { addressOf, viewOf } from './address.js';
import { call, modelPath } from './api.js';
import { h, mark, say } from './dom.js';
import { eventList } from './events.js';
import { age, clock, count } from './format.js';
import { modelList } from './list.js';
import { modelView } from './model.js';
import { stream } from './stream.js';

const SILENCE = 4000;
const POINTS = 300;
const PLOTTED = ['requestsPerSecond', 'p99Seconds', 'errorRatio'];

const main = document.getElementById('main');
const connection = document.getElementById('connection');
const notice = document.getElementById('notice');
const back = document.getElementById('back');
const models = modelList((wanted) => {
  // Each letter of a search is no place to go back to.
  if (wanted.search === view.search) location.hash = addressOf(wanted);
  else location.replace(addressOf(wanted));
});
const events = eventList();
const source = stream({ state: takeState, events: takeEvents, lost: () => connected('lost') });

let state = null;
let heardAt = 0;
// What is looked at: the opened model, and which part of the list.
let view = viewOf(location.hash);
// The model whose panel is on the page, and the panel.
let shown = null;
let panel = null;
let history = null;

// The gateway -------------------------------------------------------------------------------------

const facts = Object.fromEntries([
  ['ready', 'Ready'], ['version', 'Version'], ['generation', 'Generation'], ['uptime', 'Up for'],
].map(([key, title]) => {
  const value = h('dd');
  document.getElementById('gateway').append(h('div', {}, h('dt', {}, title), value));
  return [key, value];
}));

function showGateway() {
  say(facts.version, String(state.version ?? '–'));
  say(facts.generation, count(state.generation));
  say(facts.uptime, age(state.uptimeSeconds));
  say(facts.ready, state.draining ? 'draining' : state.ready ? 'yes' : 'no');
  mark(facts.ready, 'data-alarm', !state.ready || state.draining);
}

// The model that is looked at ---------------------------------------------------------------------

function empty(...children) {
  shown = null;
  panel = null;
  main.replaceChildren(h('p', { class: 'empty' }, ...children));
}

/** The stream's numbers continue the past, which is asked for once. */
function append(model) {
  if (history?.model !== model.name) return;
  if (history.times.length && state.time <= history.times.at(-1)) return;
  const length = history.times.length;
  history.times.push(state.time);
  for (const revision of model.revisions) {
    let past = history.revisions.find((other) => other.name === revision.name);
    if (!past) {
      past = { name: revision.name };
      for (const key of PLOTTED) past[key] = Array(length).fill(null);
      history.revisions.push(past);
    }
    for (const key of PLOTTED) past[key].push(revision[key] ?? null);
  }
  history.revisions = model.revisions.map((revision) => history.revisions.find((other) => other.name === revision.name));
  if (history.times.length <= POINTS) return;
  history.times.shift();
  for (const past of history.revisions) for (const key of PLOTTED) past[key].shift();
}

async function recall(name) {
  history = { model: name, times: [], revisions: [] };
  try {
    const past = await call('GET', modelPath(name, 'history'));
    if (shown === name && Array.isArray(past?.times)) history = { ...past, model: name };
  } catch {
    // The plots begin now.
  }
}

function show() {
  if (!state?.page) return;
  showGateway();
  const { model } = state;
  const body = document.body.dataset;
  body.models = state.summary.models > 1 ? 'many' : 'one';
  body.view = view.model === null ? 'list' : 'model';
  models.update(state, view, view.model ?? model?.name);
  mark(back, 'href', addressOf({ ...view, model: null }));
  if (!state.summary.models) {
    empty('No models are configured. Add one under ', h('code', {}, 'models:'), ' and reload.');
    return;
  }
  if (!model || (view.model !== null && model.name !== view.model)) {
    if (state.isMissing) {
      empty('There is no model of this name. ', h('a', { href: addressOf({ ...view, model: null }) }, 'See the others'), '.');
    } else if (!state.page.names.length && view.model === null) {
      empty('Nothing in the list to show.');
    }
    return;
  }
  if (shown !== model.name) {
    shown = model.name;
    panel = modelView();
    main.replaceChildren(panel.element);
    recall(model.name);
  }
  document.title = `${model.name} · Sluice`;
  append(model);
  panel.update(model, state, history, events.all);
}

addEventListener('hashchange', () => {
  const before = view;
  view = viewOf(location.hash);
  if (source.isOpen) source.open(view);
  show();
  if (view.model === before.model) return;
  scrollTo({ top: 0, behavior: 'instant' });
  // From the list one goes on to the next model, as long as the list can be seen.
  if (!document.activeElement.closest('#overview')?.checkVisibility()) main.focus({ preventScroll: true });
});

// The stream --------------------------------------------------------------------------------------

function connected(kind) {
  mark(connection, 'data-state', kind);
  say(connection, { live: 'Live', connecting: 'Connecting', lost: 'Disconnected' }[kind]);
  document.body.classList.toggle('stale', kind === 'lost');
  mark(notice, 'hidden', kind !== 'lost');
  if (kind === 'lost') {
    say(notice, heardAt
      ? `The gateway has been silent since ${clock(heardAt)}. What stands here is of that time; the page keeps trying.`
      : 'The gateway does not answer; the page keeps trying.');
  } else if (kind === 'live') {
    const troubles = state?.redis?.troubles ?? [];
    mark(notice, 'hidden', !troubles.length);
    if (troubles.length) say(notice, troubles.map(({ use, message }) => `Redis (${use}): ${message}.`).join(' '));
  }
}

function takeState(next, isFirst) {
  // A process that started over has forgotten its events, and knows the past only from then on.
  if (state && next.startedAt !== state.startedAt) {
    events.add([], true);
    shown = null;
  }
  const wasLost = Date.now() - heardAt > SILENCE;
  state = next;
  heardAt = Date.now();
  if (isFirst && wasLost && shown) recall(shown);
  connected('live');
  show();
}

function takeEvents(list) {
  events.add(list);
  show();
}

setInterval(() => {
  if (source.isOpen && heardAt && Date.now() - heardAt > SILENCE) connected('lost');
}, 1000);

// A hidden tab asks for nothing: browsers allow only a few connections to one host. What was opened
// before is opened again, wherever the list has it now.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) source.close();
  else source.open({ ...view, model: view.model ?? shown });
});
addEventListener('pagehide', source.close);
if (!document.hidden) source.open(view);
