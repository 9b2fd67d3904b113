export { MongoRemodelAdmin } from './admin.ts';
export { describeCollection } from './describe.ts';
export { type MongoRemodelOptions, MongoRemodelStore } from './store.ts';
