// Shifting weights: fields that keep their sum at 100, a preview, a question, the call.

import { call, modelPath } from './api.js';
import { confirmed, tell } from './confirm.js';
import { freshId, h, keyed, mark, say } from './dom.js';
import { percent } from './format.js';
import { pointsOf, rebalanced, WHOLE } from './weights.js';

const weightsOf = (model) => model.revisions.map((revision) => Math.round((revision.traffic ?? 0) * 100));
const namesOf = (model) => model.revisions.map((revision) => revision.name).join('\n');

function sentenceOf(model) {
  return model.revisions.map((revision) => `${revision.name} ${percent(revision.traffic)}`).join(', ');
}

/** The rows "v1 90 % → 80 %" of what would change. */
function changes(model, weights) {
  const before = weightsOf(model);
  return model.revisions
    .map((revision, index) => ({ name: revision.name, index, before: before[index], after: weights[index] }))
    .filter((row) => row.before !== row.after);
}

/** The editor of one model's weights: {element, update(model, generation)}. */
export function trafficEditor() {
  let model;
  let generation;
  // What has been dialled but not sent: weights, and the state they were dialled upon.
  let draft = null;
  let isSending = false;

  const rows = h('div', { class: 'weights' });
  const preview = h('p', { class: 'preview', role: 'status' });
  const warning = h('p', { class: 'warning', role: 'alert', hidden: true });
  const apply = h('button', { type: 'submit' }, 'Shift traffic…');
  const reset = h('button', { type: 'button', class: 'plain', onclick: () => drop() }, 'Reset');
  const title = freshId('traffic');
  const element = h('form', { class: 'traffic', 'aria-labelledby': title, onsubmit: submit, novalidate: true },
    h('h3', { id: title }, 'Traffic'), rows, warning,
    h('div', { class: 'apply' }, preview, h('p', { class: 'actions' }, reset, apply)));

  const draw = keyed(rows, (revision) => revision.name, makeRow);

  function makeRow(revision) {
    const name = revision.name;
    const position = () => model.revisions.findIndex((other) => other.name === name);
    const slider = h('input', {
      type: 'range', min: 0, max: 100, step: 1, 'aria-label': `Traffic of ${name}, slider`,
      oninput: () => dial(position(), Number(slider.value) * 100),
    });
    const field = h('input', {
      type: 'number', min: 0, max: 100, step: 'any', inputmode: 'decimal',
      'aria-label': `Traffic of ${name} in percent`,
      oninput: () => {
        const points = pointsOf(field.value);
        mark(field, 'aria-invalid', points === null ? 'true' : null);
        if (points !== null) dial(position(), points);
      },
      onblur: () => { mark(field, 'aria-invalid', null); show(); },
    });
    const all = h('button', {
      type: 'button', class: 'plain small', 'aria-label': `All traffic to ${name}`,
      onclick: () => dial(position(), WHOLE),
    }, 'All');
    const label = h('span', { class: 'name' }, h('i', { class: 'swatch' }), name);
    const row = h('div', { class: 'weight' }, label, slider, h('span', { class: 'field' }, field, h('span', {}, '%')), all);
    return {
      element: row,
      update: (_, index) => {
        mark(row, 'data-colour', index % 6);
        const points = (draft?.weights ?? weightsOf(model))[index];
        slider.value = String(points / 100);
        slider.style.setProperty('--dialled', `${points / 100}%`);
        mark(slider, 'aria-valuetext', percent(points / 100));
        // A half-typed number is left alone.
        if (document.activeElement !== field || pointsOf(field.value) !== points) {
          if (document.activeElement !== field || pointsOf(field.value) !== null) field.value = String(points / 100);
        }
      },
    };
  }

  function dial(index, points) {
    if (isSending) return;
    draft ??= { weights: weightsOf(model), base: weightsOf(model), generation, names: namesOf(model) };
    draft.weights = rebalanced(draft.weights, index, points);
    if (draft.weights.every((weight, at) => weight === weightsOf(model)[at])) draft = null;
    show();
  }

  function drop(sentence) {
    draft = null;
    mark(warning, 'hidden', !sentence);
    say(warning, sentence ?? '');
    show();
  }

  function show() {
    draw(model.revisions);
    const list = draft ? changes(model, draft.weights) : [];
    if (list.length) {
      const text = list.map((row) => `${row.name} ${percent(row.before / 100)} → ${percent(row.after / 100)}`).join(', ');
      say(preview, text);
    } else {
      say(preview, 'Move a slider or type a number; the others make room.');
    }
    apply.disabled = !list.length || isSending;
    reset.disabled = !draft || isSending;
    mark(element, 'data-draft', Boolean(draft));
    mark(element, 'aria-busy', isSending ? 'true' : null);
  }

  async function submit(event) {
    event.preventDefault();
    if (!draft || isSending) return;
    const sent = draft;
    const name = model.name;
    const rollout = model.rollout?.status === 'progressing';
    const wanted = await confirmed(`Shift traffic of ${name}?`, [
      h('table', { class: 'shift' },
        h('thead', {}, h('tr', {}, ...['Revision', 'Now', 'Then'].map((text) => h('th', { scope: 'col' }, text)))),
        h('tbody', {}, model.revisions.map((revision, index) => h('tr', { 'data-colour': index % 6 },
          h('th', { scope: 'row' }, h('i', { class: 'swatch' }), revision.name),
          h('td', {}, percent(sent.base[index] / 100)),
          h('td', { class: sent.base[index] === sent.weights[index] ? null : 'changed' }, percent(sent.weights[index] / 100)))))),
      h('p', { class: 'hint' }, 'New requests follow at once, on every worker; requests under way finish where they are.'),
      rollout ? h('p', { class: 'warning' }, 'A rollout is running; this pauses it.') : null,
    ].filter(Boolean), 'Shift traffic');
    if (!wanted) return;
    isSending = true;
    show();
    try {
      const body = Object.fromEntries(model.revisions.map((revision, index) => [revision.name, sent.weights[index] / 100]));
      const fields = sent.generation === undefined ? {} : { 'if-match': `"${sent.generation}"` };
      const answer = await call('PUT', modelPath(name, 'traffic'), body, fields);
      const now = answer?.models?.find((other) => other.name === name) ?? answer;
      if (Array.isArray(now?.revisions)) model = { ...model, ...now };
      else model = { ...model, revisions: model.revisions.map((revision, index) => ({ ...revision, traffic: sent.weights[index] / 100 })) };
      generation = answer?.generation ?? generation;
      isSending = false;
      drop();
      tell(`${name}: ${sentenceOf(model)}, on every worker.`);
    } catch (failure) {
      isSending = false;
      if (failure.status === 409 || failure.status === 412) {
        drop(`Somebody else changed the gateway while you were dialling, so nothing was shifted. These are the weights of now: dial again. (${failure.message})`);
        tell('Not shifted: the state has changed meanwhile.', true);
      } else {
        show();
        tell(`Not shifted: ${failure.message}`, true);
      }
    }
  }

  return {
    element,
    update(next, number) {
      // A frame that was under way while the gateway answered a shift is older than the answer.
      if (model && number < generation) return;
      model = next;
      generation = number;
      mark(element, 'hidden', model.revisions.length < 2);
      if (draft && draft.names !== namesOf(model)) {
        drop('The model has other revisions now; what you dialled is gone.');
      } else if (draft && !isSending && weightsOf(model).some((weight, at) => weight !== draft.base[at])) {
        drop(`The weights have just been changed elsewhere: ${sentenceOf(model)}. Dial again.`);
      } else if (draft) {
        // Something else has changed; what the preview shows still holds.
        draft.generation = generation;
      }
      show();
    },
  };
}
