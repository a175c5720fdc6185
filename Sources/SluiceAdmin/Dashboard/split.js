// A bar that shows how something is shared.

import { h, keyed, mark } from './dom.js';
import { percent } from './format.js';

/** A bar cut by revision: {element, update(shares)}. */
export function splitBar(label) {
  const bar = h('div', { class: 'split', role: 'img' });
  const draw = keyed(bar, (part) => part.name, () => {
    const element = h('i');
    return {
      element,
      update(part) {
        mark(element, 'data-colour', part.colour);
        mark(element, 'data-zero', part.share <= 0);
        const grow = String(Math.max(0, part.share));
        if (element.style.flexGrow !== grow) element.style.flexGrow = grow;
      },
    };
  });
  return {
    element: bar,
    update(shares) {
      draw(shares.map((part, index) => ({ ...part, colour: index % 6 })));
      mark(bar, 'aria-label', `${label}: ${shares.map(({ name, share }) => `${name} ${percent(share)}`).join(', ')}`);
    },
  };
}
