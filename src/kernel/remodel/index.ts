export * from './bucket.ts';
export * from './child-id.ts';
export * from './column.ts';
export type * from './compare.ts';
export type * from './doorbell.ts';
export * from './model.ts';
export * from './phase.ts';
export type * from './store.ts';
