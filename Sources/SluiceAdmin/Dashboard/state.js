// What the gateway has told so far: each frame has what has changed since the one before.

/** Puts frames together: {take(frame), state}. The first frame says everything that is looked at. */
export function assembled() {
  let gateway = {};
  let lines = new Map();
  let members = null;
  let isMissing = false;
  let revisions = new Map();
  let backends = new Map();

  const keyOf = (revision, address) => JSON.stringify([revision, address]);

  function takeModel(model) {
    if (model === null || model.name !== members?.name) {
      members = model && { name: model.name };
      revisions = new Map();
      backends = new Map();
      if (!model) return;
    }
    const { revisions: changed = [], backends: moved = [], gone = [], ...own } = model;
    members = { ...members, ...own };
    for (const revision of changed) revisions.set(revision.name, revision);
    for (const { revision, ...backend } of moved) backends.set(keyOf(revision, backend.address), { revision, backend });
    for (const { revision, address } of gone) {
      if (address === undefined) revisions.delete(revision);
      else backends.delete(keyOf(revision, address));
    }
  }

  /** The opened model as the API writes it; null until all of its revisions have been told. */
  function whole() {
    const names = members?.order ?? [];
    if (!members || !names.length || names.some((name) => !revisions.has(name))) return null;
    const own = new Map(names.map((name) => [name, []]));
    for (const { revision, backend } of backends.values()) own.get(revision)?.push(backend);
    return { ...members, revisions: names.map((name) => ({ ...revisions.get(name), backends: own.get(name) })) };
  }

  return {
    take(frame) {
      const { models = [], model, ...own } = frame;
      gateway = { ...gateway, ...own };
      for (const line of models) lines.set(line.name, line);
      const shown = new Set(gateway.page?.names);
      lines = new Map([...lines].filter(([name]) => shown.has(name)));
      if (model !== undefined) {
        isMissing = model === null;
        takeModel(model);
      }
      return { ...gateway, lines, model: whole(), isMissing };
    },
  };
}
