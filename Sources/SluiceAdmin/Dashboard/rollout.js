// An automatic rollout: how far it is, what its gates say, why it holds, and its four levers.

import { call, modelPath } from './api.js';
import { attempt, confirmed } from './confirm.js';
import { h, mark, say } from './dom.js';
import { count, percent } from './format.js';

const RUNNING = ['progressing', 'paused'];
const LEVERS = {
  pause: { verb: 'Pause', when: ['progressing'], done: 'is paused: the weights stay as they are' },
  resume: { verb: 'Resume', when: ['paused'], done: 'goes on' },
  promote: { verb: 'Promote…', when: RUNNING, done: 'is promoted: all traffic goes to the canary' },
  abort: { verb: 'Abort…', when: RUNNING, done: 'is aborted: all traffic is back on the baseline' },
};
const WORDS = { pass: 'passes', fail: 'fails', inconclusive: 'too little evidence' };
const STATUSES = { rolledBack: 'rolled back' };

function secondsUntil(when, now) {
  const time = Date.parse(when ?? '');
  return Number.isFinite(time) ? Math.max(0, Math.round((time - now) / 1000)) : null;
}

function written(value, unit) {
  return typeof value === 'number' ? `${Number(value.toPrecision(4))}\u00a0${unit ?? ''}` : '–';
}

/** The panel of a model's rollout, hidden without one: {element, update(model, now)}. */
export function rolloutPanel() {
  const status = h('span', { class: 'pill' });
  const next = h('span', { class: 'next' });
  const steps = h('ol', { class: 'steps', 'aria-label': 'Steps' });
  const reason = h('p', { class: 'reason', role: 'status' });
  const gates = h('tbody');
  const evidence = h('p', { class: 'evidence' });
  const subject = h('span');
  const table = h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Gates' }, h('table', { class: 'stack' },
    h('thead', {}, h('tr', {}, ...['Gate', 'Result', 'Canary', 'Baseline', 'Limit'].map((text, index) =>
      h('th', { scope: 'col', class: index > 1 ? 'number' : null }, text)))), gates));
  const buttons = Object.entries(LEVERS).map(([lever, { verb }]) => h('button', {
    type: 'button', class: lever === 'abort' ? 'plain danger' : 'plain', 'data-lever': lever, onclick: () => pull(lever),
  }, verb));
  const element = h('section', { class: 'rollout', hidden: true },
    h('h3', {}, subject, status, next), steps, reason, table, evidence, h('p', { class: 'actions' }, ...buttons));
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
      const isRunning = RUNNING.includes(rollout.status);
      say(subject, `Rollout of ${rollout.revision ?? 'the canary'} beside ${rollout.baseline ?? 'the baseline'}`);
      say(status, STATUSES[rollout.status] ?? String(rollout.status ?? 'unknown'));
      mark(status, 'data-rollout', rollout.stalled && isRunning ? 'stalled' : rollout.status);
      const seconds = secondsUntil(rollout.nextCheck, now);
      say(next, seconds === null ? '' : seconds === 0 ? 'decides now' : `decides in ${seconds} s`);

      const list = Array.isArray(rollout.steps) ? rollout.steps : [];
      const at = (rollout.step ?? 0) - 1;
      steps.replaceChildren(...list.map((weight, index) => h('li', {
        'data-step': rollout.status === 'promoted' || (index < at && rollout.status !== 'rolledBack') ? 'done'
          : index === at && isRunning ? 'now' : 'ahead',
        'aria-current': index === at && isRunning ? 'step' : null,
      }, percent(weight))));
      mark(steps, 'hidden', !list.length);

      const check = rollout.check;
      const why = [rollout.reason, isRunning && check?.reason !== rollout.reason ? check?.reason : null].filter(Boolean).join('. ');
      say(reason, `${rollout.stalled && isRunning ? 'Stalled: ' : ''}${why}`);
      mark(reason, 'hidden', !reason.textContent);
      mark(reason, 'data-stalled', Boolean(rollout.stalled && isRunning));

      const verdicts = Array.isArray(check?.gates) ? check.gates : [];
      gates.replaceChildren(...verdicts.map((verdict) => h('tr', {},
        h('th', { scope: 'row' }, String(verdict.gate ?? '')),
        h('td', { 'data-label': 'Result' }, h('span', { class: 'pill', 'data-verdict': verdict.result },
          WORDS[verdict.result] ?? String(verdict.result ?? ''))),
        ...['Canary', 'Baseline', 'Limit'].map((label) => h('td', { class: 'number', 'data-label': label },
          written(verdict[label.toLowerCase()], verdict.unit))))));
      mark(table, 'hidden', !verdicts.length);
      say(evidence, check
        ? `Judged since this step began: ${count(check.canaryRequests)} answers of the canary, ${count(check.baselineRequests)} of the baseline. `
          + `Bad answers of the canary since the start: ${count(rollout.badAnswers)} of ${count(rollout.requests)}.`
        : '');
      mark(evidence, 'hidden', !evidence.textContent);
      for (const button of buttons) mark(button, 'hidden', !LEVERS[button.dataset.lever].when.includes(rollout.status));
    },
  };
}
