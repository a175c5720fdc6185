// Calls of the admin API. A call that needs the token asks for it once and tries again.

import { asked } from './question.js';

const KEY = 'sluice.token';

/** An answer that was not a success; `status` 0 means that there was none. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // A browser that keeps nothing asks again next time.
  }
}

/** Asks for the token; resolves to null when the question is dismissed. */
async function askToken() {
  const dialog = document.getElementById('token');
  const field = document.getElementById('token-field');
  field.value = '';
  // Not a submit button: Enter in the field would press the first of those.
  document.getElementById('token-cancel').onclick = () => dialog.close('cancel');
  const answer = asked(dialog);
  field.focus();
  const isGiven = await answer === 'use';
  const text = field.value.trim();
  field.value = '';
  return isGiven && text ? text : null;
}

async function send(method, path, body, fields, token) {
  const headers = { ...fields };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (token) headers.authorization = `Bearer ${token}`;
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      redirect: 'error',
    });
  } catch {
    throw new Refusal(0, 'The gateway did not answer. Nothing is known about the outcome: look at the state before trying again.');
  }
}

/** Makes a call; resolves to the answer's JSON, or throws a Refusal with the gateway's sentence. */
export async function call(method, path, body, fields = {}) {
  const first = remembered();
  let answer = await send(method, path, body, fields, first);
  if (answer.status === 401) {
    const token = await askToken();
    if (!token) throw new Refusal(401, 'Without the token nothing was changed.');
    answer = await send(method, path, body, fields, token);
    remember(answer.status === 401 ? null : token);
  }
  const json = await answer.json().catch(() => null);
  if (answer.ok) return json;
  const sentence = answer.status === 401
    ? 'The gateway does not know this token. Nothing was changed.'
    : typeof json?.error === 'string' ? json.error : `The gateway answered HTTP ${answer.status}.`;
  throw new Refusal(answer.status, sentence);
}

const part = encodeURIComponent;

/** The path of a model's resource. */
export function modelPath(model, ...rest) {
  return ['/api/v1/models', model, ...rest].map((text, index) => (index ? part(text) : text)).join('/');
}
