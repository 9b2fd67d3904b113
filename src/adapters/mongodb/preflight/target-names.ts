import type { Finding } from '../../../kernel/finding.ts';
import { fromDriver } from '../errors.ts';
import { some, type TargetCheck, targetDatabases } from './context.ts';

/** The names on the target are free, and no two chosen namespaces get the same one. */
export const checkTargetNames: TargetCheck = async (ctx) => {
  const { target, selection, catalog } = ctx;
  const sources = new Map<string, string[]>();
  for (const { db, name } of [...catalog.collections, ...catalog.views]) {
    const to = selection.target(db, name);
    const key = `${to.db}.${to.collection}`;
    sources.set(key, [...(sources.get(key) ?? []), `${db}.${name}`]);
  }
  const findings: Finding[] = [];
  for (const [name, from] of sources) {
    if (from.length < 2) continue;
    findings.push({
      severity: 'error',
      check: 'target.name-clash',
      message: `${from.join(' and ')} would both become ${name}`,
      remedy: 'Change --rename or --exclude so that each has a name of its own',
    });
  }

  const { databases } = await target.command('admin', { listDatabases: 1, nameOnly: true, authorizedDatabases: false });
  const present = (databases as { name: string }[]).map(({ name }) => name);
  const wanted = targetDatabases(ctx);
  for (const db of wanted) {
    const other = [...present, ...wanted].find((name) => name !== db && name.toLowerCase() === db.toLowerCase());
    if (other === undefined) continue;
    findings.push({
      severity: 'error',
      check: 'target.name-case',
      message: `The database ${db} cannot be made beside ${other}: MongoDB refuses names that differ in case only`,
      remedy: 'Use --rename for one of them',
    });
  }

  const filled: string[] = [];
  for (const db of wanted.filter((name) => present.includes(name))) {
    try {
      const names = await target.db(db).listCollections({}, { nameOnly: true, authorizedCollections: false }).toArray();
      for (const { name, type } of names) {
        if (!sources.has(`${db}.${name}`)) continue;
        // A time series is looked at through its buckets.
        const isView = type === 'view';
        if (
          isView ||
          (type !== 'timeseries' &&
            (await target
              .db(db)
              .collection(name)
              .findOne({}, { projection: { _id: 1 } })))
        )
          filled.push(`${db}.${name}`);
      }
    } catch (error) {
      throw fromDriver(error, 'looking at the target');
    }
  }
  if (filled.length > 0) {
    findings.push({
      severity: 'error',
      check: 'target.not-empty',
      message: `The target holds data already under names that would be written: ${some(filled)}`,
      remedy: 'Drop them on the target, or use --rename or --exclude; Godwit never writes over data it did not write',
    });
  }
  return findings;
};
