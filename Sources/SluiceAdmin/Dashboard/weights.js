// Arithmetic of a model's weights, in basis points (hundredths of a percent) so that sums are exact.

export const WHOLE = 10000;

/** Basis points of a percentage as typed, or null if it is no number from 0 to 100. */
export function pointsOf(text) {
  const value = Number(String(text).trim().replace(',', '.'));
  if (String(text).trim() === '' || !Number.isFinite(value) || value < 0 || value > 100) return null;
  return Math.round(value * 100);
}

/**
 * Gives the arm at `index` the weight `points`; the others share the rest in proportion to what they
 * had, or, if that was nothing, the first of them takes it. The sum stays the whole.
 */
export function rebalanced(weights, index, points) {
  const wanted = Math.min(WHOLE, Math.max(0, Math.round(points)));
  if (weights.length < 2) return [WHOLE];
  const rest = WHOLE - wanted;
  const others = weights.map((weight, at) => (at === index ? 0 : weight));
  const sum = others.reduce((total, weight) => total + weight, 0);
  if (sum === 0) others[index === 0 ? 1 : 0] = WHOLE;
  const base = sum === 0 ? WHOLE : sum;
  const exact = others.map((weight) => (weight * rest) / base);
  const result = exact.map(Math.floor);
  // Largest remainders get what rounding down left over.
  let left = rest - result.reduce((total, weight) => total + weight, 0);
  const order = exact
    .map((share, at) => ({ at, remainder: share - result[at] }))
    .filter(({ at }) => at !== index)
    .sort((a, b) => b.remainder - a.remainder || a.at - b.at);
  for (const { at } of order) {
    if (left === 0) break;
    result[at] += 1;
    left -= 1;
  }
  result[index] = wanted;
  return result;
}
