/** Makes a counterexample as simple as it can be. Pure. */
import { type Model, type Row, simplestOf, type Value, valueText } from '../../../../kernel/remodel/index.ts';

const MOST_TRIES = 2_000;

/** The simplest row found for which `breaks` still holds: column by column, until nothing gets simpler. */
export function shrinkRow(model: Model, row: Row, breaks: (row: Row) => boolean): Row {
  let best = row;
  let tries = 0;
  for (let simpler = true; simpler && tries < MOST_TRIES; ) {
    simpler = false;
    for (const [property, column] of Object.entries(model.from.columns)) {
      for (const value of simplerValues(best[property] as Value, column.isNullable, simplestOf(column.type))) {
        tries += 1;
        if (valueText(value) === valueText(best[property])) continue;
        const candidate = { ...best, [property]: value };
        if (!breaks(candidate)) continue;
        best = candidate;
        simpler = true;
        break;
      }
    }
  }
  return best;
}

function simplerValues(value: Value, isNullable: boolean, simplest: Value): readonly Value[] {
  if (value === null) return [];
  if (valueText(value) === valueText(simplest)) return isNullable ? [null] : [];
  const less: Value[] = isNullable ? [null, simplest] : [simplest];
  if (typeof value === 'string' && typeof simplest === 'string' && simplest === '') {
    const letters = [...value];
    if (letters.length > 1)
      less.push(
        letters.slice(0, letters.length >> 1).join(''),
        letters.slice(letters.length >> 1).join(''),
        letters.slice(1).join(''),
        letters.slice(0, -1).join(''),
      );
  }
  if (typeof value === 'number' && Number.isFinite(value) && value !== 0)
    less.push(
      ...[Math.trunc(value / 2), Math.trunc(value) - Math.sign(value)].filter((n) => Math.abs(n) < Math.abs(value)),
    );
  if (typeof value === 'bigint' && value !== 0n) less.push(value / 2n, value > 0n ? value - 1n : value + 1n);
  return less;
}
