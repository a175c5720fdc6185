// A line plot of the last minutes, one line per revision, drawn as SVG.

import { h, mark, s, say } from './dom.js';
import { clock } from './format.js';

// The last minutes, or while there is only one minute of them, that.
const SPAN = 300_000;
const SHORT_SPAN = 60_000;
const HEIGHT = 132;
const EDGE = { left: 46, right: 8, top: 10, bottom: 20 };

/** A round number at or above `value`, for the top of an axis. */
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 1.0001) ?? 10 * power;
}

/** The path of a line; a gap in the numbers is a gap in the line. */
function pathOf(times, values, x, y) {
  let text = '';
  let isDown = false;
  let isAlone = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      // A single number between gaps would be invisible: a dot of a line.
      if (isAlone) text += 'h0.01';
      isDown = isAlone = false;
      return;
    }
    text += `${isDown ? 'L' : 'M'}${x(times[index]).toFixed(1)} ${y(value).toFixed(1)}`;
    isAlone = !isDown;
    isDown = true;
  });
  return isAlone ? `${text}h0.01` : text;
}

/**
 * A plot: {element, update(history, marks)}. `number` picks a list of a revision's history, `format`
 * writes one value, `floor` is the least the axis spans.
 */
export function plot(title, number, format, floor) {
  const lines = s('g', { class: 'lines' });
  const grid = s('g', { class: 'grid' });
  const flags = s('g', { class: 'flags' });
  const cross = s('line', { class: 'cross', visibility: 'hidden' });
  const canvas = s('svg', { height: HEIGHT, 'aria-hidden': 'true' }, grid, flags, lines, cross);
  const legend = h('p', { class: 'legend' });
  const when = h('span', { class: 'when' });
  const empty = h('p', { class: 'nothing' }, 'No requests in the last minutes');
  const element = h('figure', { class: 'plot' },
    h('figcaption', {}, h('span', {}, title), when), h('div', { class: 'canvas' }, canvas, empty), legend);
  let history;
  let marks = [];
  let pointer = null;

  function draw() {
    const width = canvas.clientWidth || canvas.parentElement?.clientWidth || 0;
    if (!history || width < 80) return;
    mark(canvas, 'viewBox', `0 0 ${width} ${HEIGHT}`);
    const last = history.times.at(-1) ?? Date.now();
    const span = last - (history.times[0] ?? last) <= SHORT_SPAN ? SHORT_SPAN : SPAN;
    const first = last - span;
    const from = history.times.findIndex((time) => time >= first);
    const times = from < 0 ? [] : history.times.slice(from);
    const series = history.revisions.map((revision) => ({
      name: revision.name, values: from < 0 ? [] : revision[number].slice(from),
    }));
    const highest = Math.max(floor, ...series.flatMap(({ values }) => values.filter((value) => value !== null)));
    const top = ceiling(highest);
    const x = (time) => EDGE.left + ((time - first) / span) * (width - EDGE.left - EDGE.right);
    const y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);

    const ticks = [0, top / 2, top].map((value) => [
      s('line', { x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
      s('text', { x: EDGE.left - 7, y: y(value) + 4, 'text-anchor': 'end' }, format(value)),
    ]);
    const few = span === SPAN ? [0.8, 0.4, 0] : [2 / 3, 1 / 3, 0];
    const steps = width < 360 ? few : [1, 0.8, 0.6, 0.4, 0.2, 0];
    const ages = steps.map((share) => s('text', {
      x: x(last - share * span), y: HEIGHT - 4,
      'text-anchor': share === 0 ? 'end' : share === 1 ? 'start' : 'middle',
    }, share === 0 ? 'now' : span === SPAN ? `${share * 5} min` : `${Math.round(share * 60)} s`));
    grid.replaceChildren(...ticks.flat(), ...ages);
    flags.replaceChildren(...marks.filter(({ time }) => time >= first && time <= last).map(({ time, message }) => s('line', {
      x1: x(time), x2: x(time), y1: EDGE.top, y2: HEIGHT - EDGE.bottom,
    }, s('title', {}, message))));
    lines.replaceChildren(...series.map(({ values }, index) => s('path', {
      d: pathOf(times, values, x, y), 'data-colour': index % 6,
    })));
    mark(empty, 'hidden', series.some(({ values }) => values.some((value) => value !== null)));

    let place = times.length - 1;
    if (pointer !== null && times.length) {
      const time = first + ((pointer - EDGE.left) / (width - EDGE.left - EDGE.right)) * span;
      place = times.reduce((best, candidate, index) => (
        Math.abs(candidate - time) < Math.abs(times[best] - time) ? index : best), 0);
      for (const name of ['x1', 'x2']) mark(cross, name, x(times[place]));
      mark(cross, 'y1', EDGE.top);
      mark(cross, 'y2', HEIGHT - EDGE.bottom);
    }
    mark(cross, 'visibility', pointer === null ? 'hidden' : 'visible');
    say(when, pointer === null || !times.length ? '' : clock(times[place]));
    if (legend.children.length !== series.length || series.some(({ name }, index) => legend.children[index].dataset.name !== name)) {
      legend.replaceChildren(...series.map(({ name }, index) => h('span', { 'data-colour': index % 6, 'data-name': name },
        h('i', { class: 'swatch' }), `${name} `, h('b', {}))));
    }
    series.forEach(({ values }, index) => say(legend.children[index].querySelector('b'), format(values[place] ?? NaN)));
  }

  canvas.addEventListener('pointermove', (event) => {
    pointer = event.clientX - canvas.getBoundingClientRect().left;
    draw();
  });
  canvas.addEventListener('pointerleave', () => { pointer = null; draw(); });
  new ResizeObserver(draw).observe(canvas);

  return {
    element,
    update(next, flagged) {
      history = next;
      marks = flagged;
      draw();
    },
  };
}
