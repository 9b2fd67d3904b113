import { type Document, deserialize } from 'bson';
import { type Check, some } from './context.ts';

/** Views that read collections which do not come along. */
export const checkViews: Check = ({ catalog, selection }) => {
  const known = new Set([...catalog.collections, ...catalog.views].map(({ db, name }) => `${db}.${name}`));
  const broken = catalog.views.flatMap(({ db, name, options }) => {
    const view = deserialize(options);
    const absent = [String(view['viewOn']), ...sourcesIn(view['pipeline'])].filter(
      (from) => !selection.includes(db, from) && !known.has(`${db}.${from}`),
    );
    return absent.length > 0 ? [`${db}.${name} (reads ${absent.join(', ')})`] : [];
  });
  if (broken.length === 0) return Promise.resolve([]);
  return Promise.resolve([
    {
      severity: 'warning',
      check: 'views.sources',
      message: `Views are chosen whose collections are not, so they will be empty on the target: ${some(broken)}`,
      remedy: '--include those collections too, or --exclude the views',
    },
  ]);
};

/** Collections that stages read by name, at any depth. */
function sourcesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(sourcesIn);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value as Document).flatMap(([key, inner]) => {
    const from =
      key === '$unionWith'
        ? typeof inner === 'string'
          ? inner
          : inner?.coll
        : key === '$lookup' || key === '$graphLookup'
          ? inner?.from
          : undefined;
    return [...(typeof from === 'string' ? [from] : []), ...sourcesIn(inner)];
  });
}
