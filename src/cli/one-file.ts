/** The `godwit` command as one executable file, for machines without Node: `relocate` and nothing else (scripts/one-file). */
import { GodwitError } from '../kernel/errors.ts';
import { armFromEnvironment } from '../kernel/failpoint.ts';
import { runCommandLine } from './command-line.ts';
import { ownProcess } from './own-process.ts';
import { addRelocate } from './relocate.ts';
import { addAdapt } from './relocate-adapt.ts';
import { addRegistry } from './relocate-registry.ts';
import { addRehearse } from './relocate-rehearse.ts';
import { packageVersion } from './version.ts';

const notHere = () => Promise.reject(new GodwitError('GW9001', 'The one-file command holds `relocate` only'));

await ownProcess((words, own) =>
  runCommandLine(
    words,
    {
      ...own,
      version: `${packageVersion()} (one file: relocate only; Node ${process.versions.node}, ${process.platform} ${process.arch})`,
      loadMigrate: notHere,
      loadRemodel: notHere,
      loadProtect: notHere,
      loadAdapt: () => import('../routes/relocate/adapt/index.ts'),
      loadRegistry: () => import('../routes/relocate/registry/index.ts'),
      loadRehearse: () => import('../routes/relocate/rehearse/index.ts'),
      loadRelocate: () => {
        armFromEnvironment(process.env);
        return import('../routes/relocate/index.ts');
      },
    },
    (program, session, done) => {
      const relocate = addRelocate(program, session, done);
      addRegistry(relocate, session, done);
      addAdapt(relocate, session, done);
      addRehearse(relocate, session, done);
    },
    'godwit relocate receive --listen unix:/run/g.sock --root /srv/new --once',
  ),
);
