// One model: its numbers, its traffic, its revisions, plots, rollout and backends.

import { call, modelPath } from './api.js';
import { attempt, confirmed } from './confirm.js';
import { backendTable } from './backends.js';
import { h, keyed, mark, say } from './dom.js';
import { age, count, duration, percent, rate, ratio } from './format.js';
import { plot } from './plot.js';
import { rolloutPanel } from './rollout.js';
import { splitBar } from './split.js';
import { trafficEditor } from './traffic.js';

const sum = (list, pick) => list.reduce((total, item) => total + (pick(item) ?? 0), 0);

/** `leastRequest` as people say it. */
const words = (name) => name?.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** How many of a revision's backends take requests. */
export function upOf(revision) {
  return (revision.backends ?? []).filter((backend) => backend.health === 'up' && (backend.state ?? 'ready') === 'ready').length;
}

/** What limits a model's requests, and what is sent twice. */
function limitsOf(model) {
  const rates = (model.rateLimits ?? []).map(({ rate: text, per }) => `${text} per ${per}`);
  return [
    rates.length ? `limited to ${rates.join(', ')}` : '',
    model.hedge ? `sent twice after ${duration(model.hedge.delaySeconds)}` : '',
  ];
}

/** A model's numbers over all of its revisions. */
export function totals(model) {
  const perSecond = sum(model.revisions, (revision) => revision.requestsPerSecond);
  const failed = sum(model.revisions, (revision) => (revision.errorRatio ?? 0) * (revision.requestsPerSecond ?? 0));
  const slowest = Math.max(...model.revisions.map((revision) => revision.p99Seconds ?? -1));
  return {
    perSecond,
    errors: perSecond > 0 ? failed / perSecond : null,
    p99: slowest < 0 ? null : slowest,
    inFlight: sum(model.revisions, (revision) => revision.inFlight),
    up: sum(model.revisions, upOf),
    backends: sum(model.revisions, (revision) => revision.backends?.length),
  };
}

function tile(title, hint) {
  const value = h('dd');
  const note = h('dd', { class: 'note' });
  return { element: h('div', { title: hint }, h('dt', {}, title), value, note), value, note };
}

function revisionTable() {
  const body = h('tbody');
  const columns = ['Revision', 'Traffic', 'Req/s', 'Errors', 'p50', 'p99', 'In flight', 'Backend req/s', 'Backends'];
  const element = h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Revisions' },
    h('table', { class: 'revisions stack' },
      h('thead', {}, h('tr', {}, ...columns.map((text, index) => h('th', { scope: 'col', class: index ? 'number' : null }, text)))),
      body));
  const draw = keyed(body, (revision) => revision.name, (revision) => {
    const cells = columns.slice(1).map((text) => h('td', { class: 'number', 'data-label': text }));
    const element = h('tr', {}, h('th', { scope: 'row' }, h('i', { class: 'swatch' }), revision.name), ...cells);
    return {
      element,
      update(next, index) {
        mark(element, 'data-colour', index % 6);
        const configured = next.configuredTraffic;
        const differs = configured !== undefined && configured !== next.traffic;
        const up = upOf(next);
        const all = next.backends?.length ?? 0;
        const texts = [
          percent(next.traffic) + (differs ? ` (file: ${percent(configured)})` : ''), rate(next.requestsPerSecond),
          ratio(next.errorRatio), duration(next.p50Seconds), duration(next.p99Seconds), count(next.inFlight),
          rate(next.backendRequestsPerSecond), `${up}/${all} up`,
        ];
        texts.forEach((text, at) => say(cells[at], text));
        mark(cells[2], 'data-alarm', (next.errorRatio ?? 0) >= 0.01);
        mark(cells[7], 'data-alarm', up < all);
      },
    };
  });
  return { element, update: (model) => draw(model.revisions) };
}

/** The view of one model: {element, update(model, state, history, events)}. */
export function modelView() {
  const title = h('h2', { id: 'model-title' });
  const about = h('p', { class: 'about' });
  const purge = h('button', { type: 'button', class: 'plain', onclick: () => forget() }, 'Purge cache…');
  const tiles = {
    rate: tile('Requests', 'Answers a second, over all revisions'),
    errors: tile('Errors', "Answers that failed on the gateway's or a backend's side"),
    p99: tile('Slowest p99', 'The slowest revision: 99 of 100 requests took less'),
    flying: tile('In flight', 'Requests under way'),
    refused: tile('Turned away', 'Requests refused by a limit, a full queue or overload, and slow requests that were sent twice'),
    cache: tile('Cache hits', 'Look-ups answered from memory or Redis'),
  };
  const set = splitBar('Weights');
  const seen = splitBar('Share of the last seconds');
  const seenRow = h('div', { class: 'seen' }, h('span', {}, 'seen'), seen.element);
  const revisions = revisionTable();
  const editor = trafficEditor();
  const rollout = rolloutPanel();
  const backends = backendTable();
  const plots = [
    plot('Requests per second', 'requestsPerSecond', rate, 1),
    plot('p99', 'p99Seconds', duration, 0.001),
    plot('Errors', 'errorRatio', ratio, 0.01),
  ];
  const element = h('article', { class: 'card model', 'aria-labelledby': 'model-title' },
    h('header', {}, h('div', {}, title, about), purge),
    h('dl', { class: 'tiles' }, ...Object.values(tiles).map((part) => part.element)),
    h('div', { class: 'splits' }, h('div', { class: 'seen' }, h('span', {}, 'set'), set.element), seenRow),
    revisions.element, editor.element, rollout.element,
    h('section', { class: 'plots', 'aria-label': 'The last five minutes' }, ...plots.map((part) => part.element)),
    backends.element);
  let model;

  async function forget() {
    const name = model.name;
    const wanted = await confirmed(`Purge the cache of ${name}?`, [
      h('p', {}, 'All kept answers of this model are forgotten, in memory and in Redis. Until the cache has filled again, every request goes to a backend.'),
    ], 'Purge cache', true);
    if (!wanted) return;
    await attempt(() => call('DELETE', modelPath(name, 'cache')),
      (answer) => `${name}: ${count(answer?.purged)} kept answers forgotten.`);
  }

  return {
    element,
    update(next, state, history, events) {
      model = next;
      say(title, model.name);
      const cache = model.cache;
      say(about, [words(model.loadBalancing), cache ? `answers kept for ${age(cache.ttlSeconds)}` : 'answers are not kept', ...limitsOf(model)].filter(Boolean).join(' · '));
      mark(purge, 'hidden', !cache);
      const all = totals(model);
      say(tiles.rate.value, rate(all.perSecond));
      say(tiles.rate.note, 'per second');
      say(tiles.errors.value, ratio(all.errors));
      say(tiles.errors.note, 'of answers');
      mark(tiles.errors.element, 'data-alarm', (all.errors ?? 0) >= 0.01);
      say(tiles.p99.value, duration(all.p99));
      say(tiles.p99.note, 'of any revision');
      say(tiles.flying.value, count(all.inFlight));
      say(tiles.flying.note, `${all.up} of ${all.backends} backends up`);
      const [refused, hedged, learnt] = [
        (model.rateLimitedPerSecond ?? 0) + sum(model.revisions, (revision) => revision.rejectedPerSecond),
        sum(model.revisions, (revision) => revision.hedgesPerSecond),
        model.revisions.filter((revision) => revision.concurrency),
      ];
      say(tiles.refused.value, rate(refused));
      say(tiles.refused.note, [
        'per second',
        learnt.length ? `${sum(learnt, ({ concurrency }) => concurrency.inUse)} of ${sum(learnt, ({ concurrency }) => concurrency.limit)} places in use` : '',
        model.hedge ? `${rate(hedged)} sent twice` : '',
      ].filter(Boolean).join(', '));
      say(tiles.cache.value, cache ? ratio(cache.hitRatio) : 'off');
      say(tiles.cache.note, cache ? `memory ${ratio(cache.memoryHitRatio)}, redis ${ratio(cache.redisHitRatio)}` : '');
      set.update(model.revisions.map(({ name, traffic }) => ({ name, share: traffic ?? 0 })));
      mark(seenRow, 'data-idle', all.perSecond <= 0);
      seen.update(model.revisions.map(({ name, requestsPerSecond }) => ({
        name, share: all.perSecond > 0 ? (100 * (requestsPerSecond ?? 0)) / all.perSecond : 0,
      })));
      revisions.update(model);
      editor.update(model, model.generation);
      rollout.update(model, state.time);
      backends.update(model);
      const marks = events.filter((event) => event.model === model.name).map((event) => ({
        time: Date.parse(event.time), message: event.message ?? '',
      }));
      for (const part of plots) part.update(history, marks);
    },
  };
}
