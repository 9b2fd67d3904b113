import type { Catalog, CollectionSpec } from '../../adapters/mongodb/index.ts';

/** A catalog as JSON: raw BSON becomes base64. */
export interface StoredCatalog {
  readonly position: Catalog['position'];
  readonly collections: readonly StoredCollection[];
  readonly views: readonly { readonly db: string; readonly name: string; readonly options: string }[];
}

interface StoredCollection extends Omit<CollectionSpec, 'options' | 'indexes' | 'series'> {
  readonly options: string;
  readonly indexes: readonly string[];
  readonly series?: string;
}

export function storeCatalog(catalog: Catalog): StoredCatalog {
  return {
    position: catalog.position,
    collections: catalog.collections.map((spec) => ({
      ...spec,
      options: spec.options.toString('base64'),
      indexes: spec.indexes.map((index) => index.toString('base64')),
      series: spec.series?.toString('base64'),
    })),
    views: catalog.views.map((view) => ({ ...view, options: view.options.toString('base64') })),
  };
}

export function loadCatalog(stored: StoredCatalog): Catalog {
  const bytes = (text: string) => Buffer.from(text, 'base64');
  return {
    position: stored.position,
    collections: stored.collections.map(({ series, ...spec }) => ({
      ...spec,
      options: bytes(spec.options),
      indexes: spec.indexes.map(bytes),
      ...(series === undefined ? {} : { series: bytes(series) }),
    })),
    views: stored.views.map((view) => ({ ...view, options: bytes(view.options) })),
  };
}
