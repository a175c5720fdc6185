// An automatic rollout: how far it is, what its gates say, why it holds, and its four levers.

import { call, modelPath } from './api.js';
import { attempt, confirmed } from './confirm.js';
import { h, mark, say } from './dom.js';
import { percent } from './format.js';

const LEVERS = {
  pause: { verb: 'Pause', when: ['progressing', 'running'], done: 'paused: the weights stay as they are' },
  resume: { verb: 'Resume', when: ['paused'], done: 'goes on' },
  promote: { verb: 'Promote…', when: ['progressing', 'running', 'paused'], done: 'promoted: all traffic goes to the canary' },
  abort: { verb: 'Abort…', when: ['progressing', 'running', 'paused'], done: 'aborted: all traffic is back on the baseline' },
};
const WORDS = { pass: 'passes', fail: 'fails', inconclusive: 'too little evidence' };

const weightOf = (step) => (typeof step === 'object' && step !== null ? step.weight ?? step.setWeight : step);

function written(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number') return String(Number(value.toPrecision(4)));
  return String(value);
}

function secondsUntil(when, now) {
  const time = typeof when === 'number' ? (when < 1e12 ? when * 1000 : when) : Date.parse(when);
  return Number.isFinite(time) ? Math.max(0, Math.round((time - now) / 1000)) : null;
}

/** The panel of a model's rollout, hidden without one: {element, update(model, now)}. */
export function rolloutPanel() {
  const status = h('span', { class: 'pill' });
  const next = h('span', { class: 'next' });
  const steps = h('ol', { class: 'steps', 'aria-label': 'Steps' });
  const reason = h('p', { class: 'reason', role: 'status' });
  const gates = h('tbody');
  const table = h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Gates' }, h('table', { class: 'stack' },
    h('thead', {}, h('tr', {}, ...['Gate', 'Result', 'Canary', 'Baseline', 'Bound'].map((text, index) =>
      h('th', { scope: 'col', class: index > 1 ? 'number' : null }, text)))), gates));
  const buttons = Object.entries(LEVERS).map(([lever, { verb }]) => h('button', {
    type: 'button', class: lever === 'abort' ? 'plain danger' : 'plain', 'data-lever': lever, onclick: () => pull(lever),
  }, verb));
  const element = h('section', { class: 'rollout', hidden: true },
    h('h3', {}, 'Rollout ', status, next), steps, reason, table, h('p', { class: 'actions' }, ...buttons));
  let model;

  async function pull(lever) {
    const { verb, done } = LEVERS[lever];
    if (verb.endsWith('…')) {
      const wanted = await confirmed(`${verb.slice(0, -1)} the rollout of ${model.name}?`, [
        h('p', {}, lever === 'promote'
          ? 'The remaining steps and their gates are skipped; all traffic goes to the canary at once.'
          : 'All traffic goes back to the baseline at once; the rollout ends.'),
      ], verb.slice(0, -1), lever === 'abort');
      if (!wanted) return;
    }
    const name = model.name;
    await attempt(
      () => (lever === 'abort' ? call('DELETE', modelPath(name, 'canary')) : call('POST', modelPath(name, 'canary', lever))),
      () => `The rollout of ${name} ${done}.`);
  }

  return {
    element,
    update(nextModel, now) {
      model = nextModel;
      const rollout = model.rollout;
      mark(element, 'hidden', !rollout);
      if (!rollout) return;
      say(status, String(rollout.status ?? 'unknown'));
      mark(status, 'data-rollout', rollout.stalled ? 'stalled' : rollout.status);
      const seconds = rollout.nextCheckAt === undefined || rollout.nextCheckAt === null ? null : secondsUntil(rollout.nextCheckAt, now);
      say(next, seconds === null ? '' : seconds === 0 ? 'looks now' : `looks again in ${seconds} s`);

      const list = Array.isArray(rollout.steps) ? rollout.steps.map(weightOf) : [];
      const at = typeof rollout.step === 'number' ? rollout.step : -1;
      const isOver = rollout.status === 'promoted';
      steps.replaceChildren(...list.map((weight, index) => h('li', {
        'data-step': isOver || index < at ? 'done' : index === at ? 'now' : 'ahead',
        'aria-current': index === at && !isOver ? 'step' : null,
      }, percent(weight))));
      mark(steps, 'hidden', !list.length);

      const why = rollout.reason ? String(rollout.reason) : '';
      say(reason, rollout.stalled && why ? `Stalled. ${why}` : rollout.stalled ? 'Stalled: there is too little traffic to judge by.' : why);
      mark(reason, 'hidden', !reason.textContent);
      mark(reason, 'data-stalled', Boolean(rollout.stalled));

      const verdicts = Array.isArray(rollout.verdicts) ? rollout.verdicts : [];
      gates.replaceChildren(...verdicts.map((verdict) => h('tr', {},
        h('th', { scope: 'row' }, String(verdict.gate ?? '')),
        h('td', { 'data-label': 'Result' }, h('span', { class: 'pill', 'data-verdict': verdict.result }, WORDS[verdict.result] ?? String(verdict.result ?? ''))),
        ...['Canary', 'Baseline', 'Bound'].map((label) => h('td', { class: 'number', 'data-label': label },
          written(verdict[label.toLowerCase()]))))));
      mark(table, 'hidden', !verdicts.length);
      for (const button of buttons) mark(button, 'hidden', !LEVERS[button.dataset.lever].when.includes(rollout.status));
    },
  };
}
