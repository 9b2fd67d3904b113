/**
 * Every error Godwit can report, once. The table is the user documentation:
 * `docs/reference/errors.md` is generated from it, and a test fails when the
 * two differ.
 *
 * Ranges say who must act:
 * GW1 configuration, GW2 preflight, GW3 passing fault, GW4 history lost,
 * GW5 the target refused, GW6 source and target differ, GW7 fence or ownership,
 * GW8 stopped on request, GW9 a bug in Godwit.
 */

/**
 * What the caller does with an error.
 * - `operator`: stop cleanly; a person must change something, then the run goes on.
 * - `retry`: wait and try again, within a deadline.
 * - `resnapshot`: only a new copy of what is affected can repair it.
 * - `fatal`: stop writing at once.
 * - `aborted`: somebody asked us to stop; not a failure of the run.
 */
export type Disposition = 'operator' | 'retry' | 'resnapshot' | 'fatal' | 'aborted';

interface CodeEntry {
  /** What happened, as a heading. */
  readonly title: string;
  readonly disposition: Disposition;
  /** When it is seen. */
  readonly cause: string;
  /** What to do about it. */
  readonly remedy: string;
}

export const CODES = {
  GW1001: {
    title: 'An option is not valid',
    disposition: 'operator',
    cause: 'A flag or a key of the configuration file is missing, misspelt, or out of its range.',
    remedy: 'Correct the named option. The command with `--help`, and docs/reference/config.md, list them all.',
  },
  GW1002: {
    title: 'No such run',
    disposition: 'operator',
    cause: 'The state directory holds no run of that name.',
    remedy: 'Check --state and --run; `godwit migrate status` without --run lists the runs of a state directory.',
  },
  GW1003: {
    title: 'The run was started with other options',
    disposition: 'operator',
    cause: 'A run is resumed with a different source, target or choice of namespaces than it began with.',
    remedy: 'Resume with the same options, or choose another --run name for a new run.',
  },
  GW1004: {
    title: 'The command does not fit the phase of the run',
    disposition: 'operator',
    cause: 'For example `confirm` before a cutover, or `cleanup` before `confirm`.',
    remedy: 'The message names the phase and the commands that are possible in it.',
  },
  GW1005: {
    title: 'Confirmation is missing',
    disposition: 'operator',
    cause: 'A destructive command was called without the flag that names what may be destroyed.',
    remedy: 'Read what would be destroyed, then repeat the command with the flag the message names.',
  },
  GW1006: {
    title: 'The definition of a remodel is not valid',
    disposition: 'operator',
    cause: 'Tables, key, transforms or inverse policy of `defineMigration` do not fit together.',
    remedy: 'Correct what the message names. `godwit remodel check` tries a definition on generated and real rows.',
  },
  GW1007: {
    title: 'The transaction has an isolation level that cannot be used',
    disposition: 'operator',
    cause:
      'A transaction that calls `write` runs as REPEATABLE READ or SERIALIZABLE: it would decide by a snapshot older than the lock it waits for.',
    remedy:
      'Run transactions that call `write` as READ COMMITTED, the default; `write` itself serialises on the identity.',
  },
  GW1008: {
    title: 'The comparison engine is not on this machine',
    disposition: 'operator',
    cause: 'DuckDB has no binary for this platform or was not installed, or there is no `spark-submit`.',
    remedy:
      'DuckDB comes with `npm install`, unless optional packages are left out. For Spark install Spark 4 and Java 17 or newer and set SPARK_HOME, or put `spark-submit` on the PATH. `--engine live` needs neither.',
  },
  GW1009: {
    title: 'The offline comparison failed',
    disposition: 'operator',
    cause: 'The engine ran out of memory or disk, was ended from outside, or could not read the files of the snapshot.',
    remedy:
      'Mend what the message names (free space, more memory), then repeat the command: it begins with a new snapshot. Nothing in the database was changed.',
  },
  GW2001: {
    title: 'Preflight found something that bars the migration',
    disposition: 'operator',
    cause: 'At least one finding of `godwit migrate check` is an error. Nothing has been touched.',
    remedy: 'Mend each finding listed; every one says how. Then run the command again.',
  },
  GW2002: {
    title: 'The server could not be reached',
    disposition: 'operator',
    cause: 'No member of the cluster answered within the time allowed, or none is a primary.',
    remedy: 'Check the connection string, the network, TLS options, and that a primary is elected.',
  },
  GW2003: {
    title: 'Authentication failed',
    disposition: 'operator',
    cause: 'The server refused the credentials or the client certificate.',
    remedy: 'Check user, password, authSource and authMechanism of the connection string.',
  },
  GW2004: {
    title: 'A privilege is missing',
    disposition: 'operator',
    cause: 'The user of the connection string may not do something the migration needs.',
    remedy: 'Grant the privilege the message names; docs/how-to/privileges.md has a role to copy.',
  },
  GW2005: {
    title: 'The target is not empty',
    disposition: 'operator',
    cause: 'A namespace that would be written exists on the target and this run did not create it.',
    remedy: 'Choose another target, use --rename, or drop the namespace yourself once you are sure.',
  },
  GW2006: {
    title: 'The tables do not fit the definition',
    disposition: 'operator',
    cause:
      'A table or column of the definition is missing, has another type, or lacks the unique index that tells its rows apart.',
    remedy:
      'Correct the table or the definition; the message lists all of it. `godwit remodel create --dry-run` prints what would be made.',
  },
  GW3001: {
    title: 'The connection was lost',
    disposition: 'retry',
    cause: 'A socket closed, timed out or was reset while a request was under way.',
    remedy: 'Nothing: Godwit reconnects and goes on from the last checkpoint. Look at the network if it repeats.',
  },
  GW3002: {
    title: 'The primary changed',
    disposition: 'retry',
    cause: 'A member stepped down, is shutting down or is no longer writable.',
    remedy: 'Nothing: Godwit finds the new primary and goes on.',
  },
  GW3003: {
    title: 'The server is busy',
    disposition: 'retry',
    cause: 'A lock, write conflict, time limit or cursor time-out stopped a request that may be repeated.',
    remedy: 'Nothing: Godwit repeats the request.',
  },
  GW3004: {
    title: 'A fault did not pass in the time allowed',
    disposition: 'operator',
    cause: 'A passing fault was repeated until the deadline (--retry-for) and did not go away.',
    remedy: 'Mend what the cause names, then `godwit migrate run` again: it goes on from the last checkpoint.',
  },
  GW4001: {
    title: 'The source no longer has the changes needed',
    disposition: 'resnapshot',
    cause: 'The oplog rolled past the position reached, for example because Godwit was stopped for too long.',
    remedy: 'Start a new run into an empty target. A larger oplog, or a shorter stop, avoids it.',
  },
  GW4002: {
    title: 'The change spool is damaged',
    disposition: 'operator',
    cause: 'A block of the spool on disk does not match its checksum, and it is not the torn end of the file.',
    remedy: 'Check the disk. The run can go on if the source still has the changes; otherwise start a new run.',
  },
  GW4003: {
    title: 'The disk of the state directory is full',
    disposition: 'operator',
    cause: 'The change spool or the run state could not be written.',
    remedy: 'Free space or move --state to a larger disk, then resume. Nothing was lost.',
  },
  GW5001: {
    title: 'The target refused a document',
    disposition: 'operator',
    cause: 'A write failed for a reason that repeating cannot cure.',
    remedy: "The message names the namespace, the key and the server's words. Mend the target, then resume.",
  },
  GW5002: {
    title: 'The target refused a change of structure',
    disposition: 'operator',
    cause: 'A create, index, rename or collMod that the source accepted failed on the target.',
    remedy: "The message names the namespace and the server's words. Mend the target, then resume.",
  },
  GW5003: {
    title: 'A log entry cannot be carried',
    disposition: 'operator',
    cause: "The source's log holds an operation that Godwit does not know or cannot repeat exactly.",
    remedy: 'The run stops rather than lose it. The message names the operation; report it with the versions.',
  },
  GW5004: {
    title: 'An index cannot be made unique on the target',
    disposition: 'operator',
    cause: 'Two documents on the target have the same key of an index that is unique on the source.',
    remedy: 'Run `godwit migrate verify`; it names what differs. The source still serves; nothing is lost.',
  },
  GW5005: {
    title: 'The old model cannot hold this write',
    disposition: 'operator',
    cause:
      'With the inverse policy `block` a write would leave an identity with more rows than the old table has room for.',
    remedy: 'Refuse it in the application, or choose the policy `pick` or `overflow` in the definition.',
  },
  GW5006: {
    title: 'A transform did not give what its tables need',
    disposition: 'operator',
    cause: '`up` or `down` threw, left out a column, or gave one that the table does not have.',
    remedy:
      'Correct the transform and try it with `godwit remodel check`. Identities it failed for are in quarantine; nothing of them was changed.',
  },
  GW5007: {
    title: 'The store refused a row',
    disposition: 'operator',
    cause:
      'A constraint of the new or old table (unique, not null, check, length) does not admit a row that the transform made.',
    remedy: 'Correct the row, the constraint or the transform, then `godwit remodel doctor --retry-quarantine`.',
  },
  GW5008: {
    title: 'A write does not fit the identity as it is',
    disposition: 'operator',
    cause:
      'Code of the application changes a row that is not there, creates one that is, names a column or table that the definition lacks, or gives a value of another type.',
    remedy: 'Correct the call that the message names. The transaction it stands in must be rolled back.',
  },
  GW5009: {
    title: 'The database refused a statement',
    disposition: 'operator',
    cause: 'A statement failed for a reason that neither repeating nor leaving out a row can cure.',
    remedy: "Read the database's words in the message; nothing of the transaction was kept.",
  },
  GW6001: {
    title: 'Source and target differ',
    disposition: 'operator',
    cause: 'Verification found documents, indexes or options that are not the same on both sides.',
    remedy: '`godwit migrate verify --repair` copies what differs again; then verify once more.',
  },
  GW6002: {
    title: 'The proof is missing',
    disposition: 'operator',
    cause: 'A step that needs a proof of equality was asked for and none holds.',
    remedy: 'Run `godwit migrate verify`, then repeat the command.',
  },
  GW6003: {
    title: 'A gate of the remodel does not open',
    disposition: 'operator',
    cause: 'A condition of the next phase does not hold; the message lists each with what was measured.',
    remedy: '`godwit remodel status` shows the gates as they stand. Nothing was changed.',
  },
  GW6004: {
    title: 'A table of the remodel has changed its shape',
    disposition: 'operator',
    cause: 'A column, type, collation, index or trigger differs from what was recorded when the remodel was created.',
    remedy: 'Undo the change, or accept it with `godwit remodel doctor --accept-shape` after checking the transforms.',
  },
  GW7001: {
    title: 'Another process runs this run',
    disposition: 'operator',
    cause: 'The state directory of the run is locked by a living process.',
    remedy: 'Use `status`, `pause` or `cutover`, which talk to that process; or end it first.',
  },
  GW7002: {
    title: 'A write slipped past the fence',
    disposition: 'operator',
    cause: 'After the fence went up the log shows a write to a chosen namespace that is not ours.',
    remedy: 'The cutover was undone and the source serves again. Stop that writer, or use a wider fence.',
  },
  GW7003: {
    title: 'This fence would stop others',
    disposition: 'operator',
    cause: '--fence write-block holds the whole cluster, and namespaces outside this run are being written.',
    remedy: 'Use --fence roles, or add --fence-whole-cluster if stopping everybody is meant.',
  },
  GW7004: {
    title: 'The fence cannot be raised',
    disposition: 'operator',
    cause: 'The privileges, version or users of the source do not allow the chosen fence.',
    remedy: 'Choose another --fence; `godwit migrate check` says which work here and why.',
  },
  GW7005: {
    title: 'The entry could not be switched',
    disposition: 'operator',
    cause: 'The file could not be rewritten or the webhook did not answer with success.',
    remedy: 'The cutover was undone and the source serves again. Mend the entry, then cut over again.',
  },
  GW7006: {
    title: 'The target did not catch up in the time allowed',
    disposition: 'operator',
    cause: 'Draining took longer than --max-stall; the fence was lowered again.',
    remedy: 'Wait until `status` shows a small lag, or allow a longer stall.',
  },
  GW7007: {
    title: 'Somebody else changed the remodel',
    disposition: 'operator',
    cause: 'Between reading the control record and changing it, another command or the ramp changed it.',
    remedy: 'Look at `godwit remodel status`, then repeat the command if it still applies.',
  },
  GW7008: {
    title: 'This process has another definition',
    disposition: 'operator',
    cause: 'The definition that the application was started with is not the one the remodel was created with.',
    remedy: 'Deploy the same definition everywhere; a changed one needs a remodel of another name.',
  },
  GW7009: {
    title: 'The old table was written past the library',
    disposition: 'operator',
    cause: 'The guard is set to `reject` and a statement changed the old table outside of `write`.',
    remedy:
      'Use `write` of the library for it, or set the guard to `capture` with `godwit remodel doctor --guard capture`.',
  },
  GW8001: {
    title: 'Stopped on request',
    disposition: 'aborted',
    cause: 'A signal, `pause` or `cancel` ended the work. The state is checkpointed.',
    remedy: '`godwit migrate run` or `resume` goes on.',
  },
  GW9001: {
    title: 'A bug in Godwit',
    disposition: 'fatal',
    cause: 'Something happened that the code rules out.',
    remedy: "Please report it with the message and the run's report.json. The source is untouched.",
  },
  GW9002: {
    title: 'The state was written by a newer Godwit',
    disposition: 'operator',
    cause: "The format of the run's state or spool is newer than this version can read.",
    remedy: 'Use the newer version to go on with this run.',
  },
} as const satisfies Record<string, CodeEntry>;

export type ErrorCode = keyof typeof CODES;

/** The process exit code of a command that ends with this error code. */
export function exitCodeOf(code: ErrorCode): number {
  if (code === 'GW8001') return 130;
  const byClass: Record<string, number> = { '1': 2, '2': 3, '3': 4, '4': 4, '5': 5, '6': 6, '7': 7, '9': 70 };
  return byClass[code.charAt(2)] ?? 1;
}
