// All models at a glance, when there is more than one; each leads to its own view.

import { h, keyed, mark, say } from './dom.js';
import { duration, rate, ratio } from './format.js';
import { splitBar, totals } from './model.js';

/** The address of a model's view on this page. */
export const addressOf = (name) => `#/models/${encodeURIComponent(name)}`;

/** The list of models: {update(models, selected)}. */
export function overview() {
  const element = document.getElementById('overview');
  const body = h('tbody');
  const columns = ['Model', 'Traffic', 'Req/s', 'Errors', 'p99', 'Cache hits', 'Backends'];
  element.append(h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'All models' }, h('table', {},
    h('thead', {}, h('tr', {}, ...columns.map((text, index) => h('th', { scope: 'col', class: index > 1 ? 'number' : null }, text)))),
    body)));
  const draw = keyed(body, (model) => model.name, (first) => {
    const link = h('a', { href: addressOf(first.name) }, first.name);
    const split = splitBar('Weights');
    const cells = columns.slice(2).map(() => h('td', { class: 'number' }));
    const row = h('tr', {}, h('th', { scope: 'row' }, link), h('td', { class: 'shares' }, split.element), ...cells);
    return {
      element: row,
      update(model) {
        const all = totals(model);
        mark(link, 'aria-current', model.isSelected ? 'page' : null);
        split.update(model.revisions.map(({ name, traffic }) => ({ name, share: traffic ?? 0 })));
        [rate(all.perSecond), ratio(all.errors), duration(all.p99), model.cache ? ratio(model.cache.hitRatio) : 'off',
          `${all.up}/${all.backends}`].forEach((text, index) => say(cells[index], text));
        mark(cells[1], 'data-alarm', (all.errors ?? 0) >= 0.01);
        mark(cells[4], 'data-alarm', all.up < all.backends);
      },
    };
  });
  return {
    update(models, selected) {
      mark(element, 'hidden', models.length < 2);
      draw(models.map((model) => ({ ...model, isSelected: model.name === selected })));
    },
  };
}
