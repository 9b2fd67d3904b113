/** Real servers for tests, demo and benchmarks. */
export { findMongod } from './find-mongod.ts';
export { Member } from './member.ts';
export { type PostgresOptions, PostgresServer, startPostgres } from './postgres.ts';
export { ReplicaSet, type ReplicaSetOptions, type ReplicaSetTls, startReplicaSet } from './replica-set.ts';
export { startTcpProxy, TcpProxy, type TcpProxyOptions } from './tcp-proxy.ts';
export { StopWaiting, type WaitForOptions, waitFor } from './wait-for.ts';
