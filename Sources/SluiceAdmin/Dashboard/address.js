// What the page shows, as its address says it: the opened model, and which part of the list.

/** The orders that a list can have, as the gateway calls them. */
export const SORTS = {
  configuration: 'As configured',
  name: 'Name',
  health: 'Unhealthy first',
  requests: 'Most requests',
  errors: 'Most errors',
  latency: 'Slowest',
};

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null; // Not an address of ours.
  }
}

/** The view that an address names; a part that it doesn't name is as usual, and `model` null. */
export function viewOf(hash) {
  const [path, query = ''] = hash.replace(/^#/, '').split('?');
  const match = /^\/models\/(.+)$/.exec(path);
  const wanted = new URLSearchParams(query);
  const sort = wanted.get('sort');
  return {
    model: match ? decoded(match[1]) : null,
    search: wanted.get('search') ?? '',
    sort: Object.hasOwn(SORTS, sort) ? sort : 'configuration',
    offset: Math.max(0, Math.floor(Number(wanted.get('offset'))) || 0),
  };
}

/** The address of a view. */
export function addressOf({ model, search, sort, offset }) {
  const query = new URLSearchParams();
  if (search) query.set('search', search);
  if (sort && sort !== 'configuration') query.set('sort', sort);
  if (offset) query.set('offset', offset);
  const text = query.toString();
  return `#/${model === null || model === undefined ? '' : `models/${encodeURIComponent(model)}`}${text ? `?${text}` : ''}`;
}
