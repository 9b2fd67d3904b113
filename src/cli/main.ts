#!/usr/bin/env node
/** The `godwit` command. */
import { armFromEnvironment } from '../kernel/failpoint.ts';
import { ownProcess } from './own-process.ts';
import { runProgram } from './program.ts';
import { packageVersion } from './version.ts';

/** Those that stand in the way of a block device to its disk. */
const SERVERS = ['primary', 'dr', 'attach'];

await ownProcess((words, own) =>
  runProgram(words, {
    ...own,
    version: packageVersion(),
    loadMigrate: () => {
      armFromEnvironment(process.env);
      return import('../routes/migrate/index.ts');
    },
    loadRemodel: () => import('../routes/remodel/engine/index.ts'),
    loadProtect: async () => {
      const route = await import('../routes/protect/index.ts');
      if (SERVERS.includes(process.argv[3] ?? '')) route.becomeIoFlusher();
      return route;
    },
    loadAdapt: () => import('../routes/relocate/adapt/index.ts'),
    loadRegistry: () => import('../routes/relocate/registry/index.ts'),
    loadRehearse: () => import('../routes/relocate/rehearse/index.ts'),
    loadRelocate: () => {
      armFromEnvironment(process.env);
      return import('../routes/relocate/index.ts');
    },
  }),
);
