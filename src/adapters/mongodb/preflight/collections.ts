import { type Document, deserialize } from 'bson';
import type { Finding } from '../../../kernel/finding.ts';
import { type CollectionSpec, namespaceOf } from '../catalog.ts';
import { deferralOf, splitIndexes } from '../structure.ts';
import { some, type TargetCheck } from './context.ts';

interface Trait {
  readonly severity: Finding['severity'];
  readonly check: string;
  readonly holds: (spec: CollectionSpec, options: Document) => boolean;
  readonly words: (names: string) => string;
  readonly remedy?: string;
}

/** What is special about collections, and what Godwit does about it. */
const TRAITS: readonly Trait[] = [
  {
    severity: 'error',
    check: 'collections.encrypted',
    holds: (spec, options) => options['encryptedFields'] !== undefined || spec.name.startsWith('enxcol_.'),
    words: (names) =>
      `Queryable Encryption keeps secret collections beside ${names}; they would not be carried exactly`,
    remedy: '--exclude them and move them with the encryption library of the driver',
  },
  {
    severity: 'error',
    check: 'collections.no-id-index',
    holds: (_, options) => options['autoIndexId'] === false,
    words: (names) =>
      `${names} has no index on _id (autoIndexId: false), so neither copy nor proof has an order to go by`,
    remedy: '--exclude it, or copy it into an ordinary collection first',
  },
  {
    severity: 'error',
    check: 'indexes.haystack',
    holds: (spec) => keysOf(spec).some((key) => Object.values(key).includes('geoHaystack')),
    words: (names) => `${names} has a geoHaystack index, which no version since 5.0 can make`,
    remedy: 'Drop that index at the source',
  },
  {
    severity: 'warning',
    check: 'indexes.unique-and-plain',
    holds: (spec) => splitIndexes(spec.indexes).later.length > 0,
    words: (names) =>
      `${names} has a unique and a non-unique index on the same keys: the unique one is built whole at the cutover, which takes as long as an index build does`,
    remedy: 'Drop the non-unique one at the source if nothing needs it',
  },
  {
    severity: 'info',
    check: 'indexes.unique',
    holds: (spec) => spec.indexes.some((index) => deferralOf(index).unique),
    words: (names) => `Unique indexes of ${names} are not unique on the target until the cutover, which makes them so`,
  },
  {
    severity: 'info',
    check: 'indexes.ttl',
    holds: (spec, options) =>
      options['expireAfterSeconds'] !== undefined || spec.indexes.some((index) => deferralOf(index).ttl),
    words: (names) => `Documents of ${names} expire at the source only; the target begins with that at the cutover`,
  },
  {
    severity: 'info',
    check: 'collections.time-series',
    holds: (spec) => spec.series !== undefined,
    words: (names) => `Time series are carried bucket by bucket: ${names}`,
  },
  {
    severity: 'info',
    check: 'collections.capped',
    holds: (spec) => spec.capped,
    words: (names) => `Capped collections are carried one document after another, in their order: ${names}`,
  },
  {
    severity: 'info',
    check: 'collections.clustered',
    holds: (spec) => spec.clustered && spec.series === undefined,
    words: (names) => `Clustered collections stay clustered: ${names}`,
  },
  {
    severity: 'info',
    check: 'collections.collation',
    holds: (spec) => spec.collated,
    words: (names) => `Keys that a collation holds to be equal are kept together: ${names}`,
  },
  {
    severity: 'info',
    check: 'collections.pre-images',
    holds: (_, options) => options['changeStreamPreAndPostImages']?.enabled === true,
    words: (names) =>
      `Pre- and post-images go on for ${names}; those recorded so far stay at the source, and resume tokens of change streams are not good on the target`,
  },
  {
    severity: 'info',
    check: 'collections.system',
    holds: (spec) => spec.name === 'system.js',
    words: (names) => `Stored functions are carried: ${names}`,
  },
];

export const checkCollections: TargetCheck = ({ catalog }) => {
  const findings: Finding[] = [];
  const specs = catalog.collections.map((spec) => ({ spec, options: deserialize(spec.options) }));
  for (const { severity, check, holds, words, remedy } of TRAITS) {
    const names = specs.filter(({ spec, options }) => holds(spec, options)).map(({ spec }) => shownName(spec));
    if (names.length > 0)
      findings.push({ severity, check, message: words(some(names)), ...(remedy ? { remedy } : {}) });
  }
  if (catalog.collections.length === 0 && catalog.views.length === 0) {
    findings.push({
      severity: 'error',
      check: 'collections.none',
      message: 'No collection at the source is chosen',
      remedy: 'Look at --include and --exclude: names are database.collection, and case matters',
    });
  }
  return Promise.resolve(findings);
};

function shownName(spec: CollectionSpec): string {
  return namespaceOf(spec).replace('.system.buckets.', '.');
}

function keysOf(spec: CollectionSpec): Document[] {
  return spec.indexes.map((index) => deserialize(index)['key'] as Document);
}
