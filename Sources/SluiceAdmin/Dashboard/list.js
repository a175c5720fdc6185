// The list of models, where there is more than one: searched, ordered and paged by the gateway, so
// that a page of two thousand costs what a page of fifty does.

import { addressOf, SORTS } from './address.js';
import { h, keyed, mark, say } from './dom.js';
import { count, duration, rate, ratio } from './format.js';
import { splitBar } from './split.js';
import { PAGE } from './stream.js';

/** With fewer models there is nothing to search. */
const FEW = 8;
/** How long typing rests before it counts, and how long rows keep their places under a hand. */
const REST = 250;
const HOLD = 3000;

const STATES = { up: 'all backends up', some: 'backends missing', down: 'no backend up', failing: 'answers fail' };

function healthOf(line) {
  if (line.backendsUp === 0) return 'down';
  if (line.backendsUp < line.backendCount) return 'some';
  return (line.errorRatio ?? 0) >= 0.01 || line.rollout?.status === 'rolledBack' ? 'failing' : 'up';
}

function makeRow(first, linkTo) {
  const link = h('a', { tabindex: -1 }, h('span', {}, first.name));
  const dot = h('i', { class: 'dot', role: 'img' });
  const split = splitBar('Weights');
  const [perSecond, errors, slowest, up, rollout] = ['rate', 'errors', 'latency', 'up', 'pill'].map((name) => h('span', { class: name }));
  const element = h('li', { title: first.name }, dot, link, perSecond, split.element, h('span', { class: 'numbers' }, errors, slowest, up), rollout);
  return {
    element,
    update({ line, isOpen, isTabbable }) {
      const health = healthOf(line);
      mark(link, 'href', linkTo(line.name));
      mark(link, 'aria-current', isOpen ? 'page' : null);
      mark(link, 'tabindex', isTabbable ? 0 : -1);
      mark(dot, 'data-health', health);
      mark(dot, 'aria-label', STATES[health]);
      split.update(line.revisions.map(({ name, traffic }) => ({ name, share: traffic })));
      say(perSecond, `${rate(line.requestsPerSecond)}/s`);
      say(errors, line.errorRatio === null ? 'no answers' : `${ratio(line.errorRatio)} err`);
      mark(errors, 'data-alarm', (line.errorRatio ?? 0) >= 0.01);
      say(slowest, line.p99Seconds === null ? '' : `p99 ${duration(line.p99Seconds)}`);
      say(up, `${line.backendsUp}/${line.backendCount} up`);
      mark(up, 'data-alarm', line.backendsUp < line.backendCount);
      const status = line.rollout && ['progressing', 'paused', 'rolledBack'].includes(line.rollout.status) ? line.rollout.status : null;
      mark(rollout, 'hidden', !status);
      mark(rollout, 'data-rollout', status);
      say(rollout, { progressing: 'rollout', paused: 'paused', rolledBack: 'rolled back' }[status] ?? '');
    },
  };
}

/** The list: {update(state, view, opened)}; `go(view)` is asked for another view. */
export function modelList(go) {
  const element = document.getElementById('overview');
  let view = null;
  let state = null;
  let opened = null;
  let names = [];
  let shownView = '';
  let touched = -Infinity;
  let timer = null;

  const search = h('input', {
    type: 'search', 'aria-label': 'Search models', placeholder: 'Search', title: 'Part of the name of a model, a revision or a backend', autocomplete: 'off',
    spellcheck: 'false', maxlength: 100, oninput: () => { clearTimeout(timer); timer = setTimeout(find, REST); },
    onkeydown: (event) => {
      if (event.key === 'Enter') find();
      if (event.key === 'ArrowDown') { event.preventDefault(); focusAt(0); }
    },
  });
  const sort = h('select', { 'aria-label': 'Order of the models', onchange: () => go({ ...view, sort: sort.value, offset: 0 }) },
    ...Object.entries(SORTS).map(([value, text]) => h('option', { value }, text)));
  const troubled = h('button', { type: 'button', class: 'plain small trouble', onclick: () => go({ ...view, sort: 'health', offset: 0 }) });
  const totals = h('p', { class: 'totals' });
  const tools = h('div', { class: 'tools', role: 'search' }, search, sort);
  const body = h('ol', { class: 'models', onkeydown: steer });
  const nothing = h('p', { class: 'empty', role: 'status' });
  const range = h('span', { role: 'status' });
  const [back, forth] = [['Previous page', '‹', -1], ['Next page', '›', 1]].map(([label, text, step]) => h('button', {
    type: 'button', class: 'plain small', 'aria-label': label, title: label, onclick: () => turn(step),
  }, text));
  const pager = h('div', { class: 'pager' }, back, range, forth);
  element.append(h('div', { class: 'heading' }, h('h2', { id: 'overview-title' }, 'Models'), troubled), totals, tools, body, nothing, pager);

  const draw = keyed(body, ({ line }) => line.name, ({ line }) => makeRow(line, (model) => addressOf({ ...view, model })));
  const links = () => [...body.querySelectorAll('a')];

  for (const kind of ['pointermove', 'pointerdown', 'keydown', 'touchstart']) {
    body.addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
  }

  function find() {
    clearTimeout(timer);
    if (search.value.trim() !== view.search) go({ ...view, search: search.value.trim(), offset: 0 });
  }

  function turn(step) {
    const offset = step > 0 ? view.offset + (state?.page?.names.length ?? PAGE) : Math.max(0, view.offset - PAGE);
    if (offset !== view.offset && offset < (state?.page?.matching ?? 0)) {
      body.scrollTop = 0;
      go({ ...view, offset });
    }
  }

  function focusAt(index) {
    const list = links();
    list[Math.min(Math.max(0, index), list.length - 1)]?.focus();
  }

  // One row is in the order of Tab; arrows lead to the others.
  function steer(event) {
    const at = links().indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: Infinity };
    if (event.key in moves) focusAt(moves[event.key]);
    else if (event.key === 'PageDown') turn(1);
    else if (event.key === 'PageUp') turn(-1);
    else return;
    event.preventDefault();
  }

  addEventListener('keydown', (event) => {
    const isTyping = event.target.closest?.('input, select, textarea, dialog');
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey || element.hidden || tools.hidden) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  // What a person is about to click stays where it is; other rows of a page come later.
  function order(next, key) {
    const isHeld = key === shownView && performance.now() - touched < HOLD;
    const isSame = next.length === names.length && next.every((name) => names.includes(name));
    if (!isHeld || !isSame) names = next;
    shownView = key;
    return names;
  }

  function show() {
    const { page, lines, summary } = state;
    const isTold = page.names.some((name) => lines.has(name)) || !page.names.length;
    mark(element, 'hidden', summary.models < 2);
    mark(tools, 'hidden', summary.models <= FEW && !view.search && view.sort === 'configuration');
    say(totals, `${count(summary.models)} models · ${rate(summary.requestsPerSecond)} req/s · ${summary.errorRatio === null ? 'no answers' : `${ratio(summary.errorRatio)} errors`}`);
    mark(troubled, 'hidden', !summary.troubled);
    mark(troubled, 'aria-pressed', view.sort === 'health' ? 'true' : 'false');
    say(troubled, summary.troubled === 1 ? '1 needs a look' : `${count(summary.troubled)} need a look`);
    if (document.activeElement !== search) search.value = view.search;
    if (sort.value !== view.sort) sort.value = view.sort;
    if (!isTold) return;

    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    const shown = order(page.names, JSON.stringify([view.search, view.sort, page.offset])).filter((name) => lines.has(name));
    const entry = focused?.textContent ?? (shown.includes(opened) ? opened : shown[0]);
    draw(shown.map((name) => ({
      line: lines.get(name), isOpen: name === opened, isTabbable: name === (shown.includes(entry) ? entry : shown[0]),
    })));
    // An element that is moved loses the focus.
    if (focused && document.activeElement !== focused) {
      if (focused.isConnected) focused.focus({ preventScroll: true });
      else focusAt(0);
    }
    const { matching, offset } = page;
    mark(nothing, 'hidden', shown.length > 0);
    say(nothing, matching ? 'There is nothing on this page of the list any more.' : view.search ? `No model is like “${view.search}”.` : '');
    mark(pager, 'hidden', matching <= PAGE && !offset);
    say(range, `${count(Math.min(offset + 1, matching))}–${count(Math.min(offset + page.names.length, matching))} of ${count(matching)}`);
    back.disabled = offset === 0;
    forth.disabled = offset + page.names.length >= matching;
  }

  return {
    update(next, wanted, model) {
      state = next;
      view = wanted;
      opened = model;
      show();
    },
  };
}
