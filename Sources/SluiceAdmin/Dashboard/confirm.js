// One question before a change is made, and one line about what came of it.

import { h, say } from './dom.js';
import { asked } from './question.js';

/** Asks in a dialog; resolves to whether the change is wanted. `body` is a list of elements. */
export async function confirmed(title, body, verb, isDangerous = false) {
  const dialog = document.getElementById('confirm');
  dialog.replaceChildren(
    h('form', { method: 'dialog' },
      h('h2', { id: 'confirm-title' }, title),
      ...body,
      h('p', { class: 'actions' },
        h('button', { type: 'button', class: 'plain', onclick: () => dialog.close('cancel') }, 'Cancel'),
        h('button', { value: 'yes', type: 'submit', class: isDangerous ? 'danger' : null, autofocus: true }, verb))));
  return await asked(dialog) === 'yes';
}

let timer;

/** Says what came of a change, to eyes and to screen readers. */
export function tell(sentence, isFailure = false) {
  const element = document.getElementById('outcome');
  clearTimeout(timer);
  element.classList.toggle('failure', isFailure);
  say(element, sentence);
  element.classList.add('shown');
  timer = setTimeout(() => {
    element.classList.remove('shown');
    timer = setTimeout(() => say(element, ''), 400);
  }, isFailure ? 15000 : 7000);
}

/** Runs a change and says how it ended; resolves to its result, or undefined. */
export async function attempt(change, sentence) {
  try {
    const result = await change();
    tell(sentence(result));
    return result;
  } catch (failure) {
    tell(failure.message, true);
    return undefined;
  }
}
