// Small tools for making and changing elements. Whatever comes from outside enters as text nodes.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An element; properties are attributes, or listeners if they begin with "on". */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An element of a drawing. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Changes an element's text if it differs, so that nobody is told the same thing twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Changes an attribute if it differs; null and false remove it. */
export function mark(element, name, value) {
  const text = value === null || value === undefined || value === false
    ? null : value === true ? '' : String(value);
  if (element.getAttribute(name) === text) return;
  if (text === null) element.removeAttribute(name);
  else element.setAttribute(name, text);
}

/**
 * Keeps a part per item, in the items' order, and tells each its item. Parts are reused by key, so
 * focus and half-typed numbers outlive an update. `make(item)` returns {element, update}.
 */
export function keyed(parent, key, make) {
  let parts = new Map();
  return (items) => {
    const next = new Map();
    items.forEach((item, index) => {
      const name = key(item);
      const part = parts.get(name) ?? make(item, index);
      next.set(name, part);
      part.update?.(item, index);
      if (parent.children[index] !== part.element) {
        parent.insertBefore(part.element, parent.children[index] ?? null);
      }
    });
    for (const [name, part] of parts) if (!next.has(name)) part.element.remove();
    parts = next;
  };
}

let lastId = 0;

/** An id that nothing else on the page has. */
export function freshId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}
