export { type MongoRemodelOptions, MongoRemodelStore } from './store.ts';
