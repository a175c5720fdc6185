// The page: takes the stream's states and hands them to its parts.

import { call, modelPath } from './api.js';
import { h, mark, say } from './dom.js';
import { eventList } from './events.js';
import { age, clock, count } from './format.js';
import { modelView } from './model.js';
import { addressOf, overview } from './overview.js';

const SILENCE = 4000;
const POINTS = 300;
const PLOTTED = ['requestsPerSecond', 'p99Seconds', 'errorRatio'];

const main = document.getElementById('main');
const connection = document.getElementById('connection');
const notice = document.getElementById('notice');
const models = overview();
const events = eventList();

let state = null;
let heardAt = 0;
let view = null;
let shown = null;
let history = null;
let source = null;
let retry = null;

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

function selected() {
  const match = /^#\/models\/(.+)$/.exec(location.hash);
  let wanted = null;
  try {
    wanted = match ? decodeURIComponent(match[1]) : null;
  } catch {
    // Not an address of ours.
  }
  return state.models.find((model) => model.name === wanted) ?? (wanted === null ? state.models[0] : undefined);
}

function empty(...children) {
  shown = null;
  view = null;
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
  if (!state) return;
  showGateway();
  if (!state.models.length) {
    models.update([], null);
    empty('No models are configured. Add one under ', h('code', {}, 'models:'), ' and reload.');
    return;
  }
  const model = selected();
  models.update(state.models, model?.name);
  if (!model) {
    empty('There is no model of this name. ', h('a', { href: addressOf(state.models[0].name) }, `See ${state.models[0].name}`), '.');
    return;
  }
  if (shown !== model.name) {
    shown = model.name;
    view = modelView();
    main.replaceChildren(view.element);
    recall(model.name);
  }
  document.title = `${model.name} · Sluice`;
  append(model);
  view.update(model, state, history, events.all);
}

addEventListener('hashchange', () => {
  show();
  if (state) main.focus({ preventScroll: true });
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

function open() {
  close();
  source = new EventSource('/api/v1/stream');
  let isFirst = true;
  source.addEventListener('state', (event) => {
    const next = JSON.parse(event.data);
    // A process that started over has forgotten its events, and knows the past only from then on.
    if (state && next.startedAt !== state.startedAt) {
      events.add([], true);
      shown = null;
    }
    const wasLost = Date.now() - heardAt > SILENCE;
    state = next;
    heardAt = Date.now();
    if (isFirst && wasLost && shown) recall(shown);
    isFirst = false;
    connected('live');
    show();
  });
  source.addEventListener('events', (event) => {
    events.add(JSON.parse(event.data));
    show();
  });
  source.addEventListener('error', () => {
    // A refusal ends an EventSource for good; a broken connection it mends by itself.
    if (source?.readyState === EventSource.CLOSED) {
      clearTimeout(retry);
      retry = setTimeout(open, 3000);
    }
    connected('lost');
  });
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

setInterval(() => {
  if (source && heardAt && Date.now() - heardAt > SILENCE) connected('lost');
}, 1000);

// A hidden tab asks for nothing: browsers allow only a few connections to one host.
document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
addEventListener('pagehide', close);
if (!document.hidden) open();
