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
    remedy:
      'Check --state, and --run where there is one: `godwit migrate status` without it lists the runs of a state directory.',
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
  GW1010: {
    title: 'The system refuses a file or an address',
    disposition: 'operator',
    cause:
      'A file, directory, socket or address that the command needs is not there, in use, or not permitted; most often an option names it.',
    remedy: 'Correct what the message names, or its rights. If nothing you said names it, please report it.',
  },
  GW1201: {
    title: 'A volume cannot be offered',
    disposition: 'operator',
    cause: 'The name of an export is used twice or cannot be sent, or the sizes of its volume do not fit together.',
    remedy: 'Correct what the message names.',
  },
  GW1202: {
    title: 'The block server cannot listen',
    disposition: 'operator',
    cause: 'The address is in use, is not of this machine, or its directory cannot be written.',
    remedy: 'Choose another address, or end what listens there.',
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
  GW2007: {
    title: 'No member may be frozen',
    disposition: 'operator',
    cause:
      '`--freeze` found no secondary that may stand still: a majority, the default write concern or readers need each of them, or it is behind, locked, or cannot be reached.',
    remedy:
      'The details say why of each member. Add a hidden member, or leave --freeze out: a copy from live members is as correct.',
  },
  GW2101: {
    title: 'The medium is damaged',
    disposition: 'operator',
    cause:
      'A file of the medium is shorter or longer than it was, does not fit its digest or checksum, or holds what is no document.',
    remedy: 'Carry the file that the message names over once more, or export again. Nothing was written to the target.',
  },
  GW2102: {
    title: 'The medium is not complete',
    disposition: 'operator',
    cause: 'A file is missing, or the export was not carried to its end.',
    remedy: 'Run the export to its end (the same command begins again), or carry over what is missing.',
  },
  GW2103: {
    title: 'This is no medium',
    disposition: 'operator',
    cause: 'The file or folder was not written by Godwit or mongodump, or by a version that is not known.',
    remedy:
      'Check --medium: a folder that holds a folder for each database, or an archive. Nothing was written to the target.',
  },
  GW2104: {
    title: 'The medium does not fit this run',
    disposition: 'operator',
    cause:
      'It is another medium than the run was begun with, comes from another source, or has no log that a run could go on from.',
    remedy: 'Use the medium that belongs to the source; one made by mongodump needs --oplog to be the start of a run.',
  },
  GW2105: {
    title: 'The medium cannot be written',
    disposition: 'operator',
    cause:
      'Something else is at the place of the medium, a tool that was asked for is missing or failed, or a collection has options that no JSON can hold.',
    remedy: 'Choose an empty place; install what the message names; or use --medium-tool godwit.',
  },
  GW2106: {
    title: 'The time point cannot be reached',
    disposition: 'operator',
    cause:
      'It lies in the future, before the log or the history that the servers keep, or structure has changed since.',
    remedy: '`godwit migrate check --time-point` says which ways reach it. A later time point may be possible.',
  },
  GW2201: {
    title: 'The volume cannot be opened',
    disposition: 'operator',
    cause: 'The file or device is not there, is of another kind, or may not be opened.',
    remedy: 'Check the path and its permissions; a file must have its full size before it is served.',
  },
  GW2202: {
    title: 'The block server does not let us in',
    disposition: 'operator',
    cause: 'It has no export of that name, wants TLS or another certificate, or its certificate is not trusted.',
    remedy: 'Check the name of the export and the TLS options of both sides.',
  },
  GW2203: {
    title: 'The state directory is in use',
    disposition: 'operator',
    cause: 'Another process of a role works with this state directory.',
    remedy: 'Stop it, or give this role a state directory of its own.',
  },
  GW2204: {
    title: 'Image and state do not belong together',
    disposition: 'operator',
    cause:
      'A volume begins with neither, or goes on with both. An image with content would not be at the DR; a state without its image would be an empty volume; a role without its state would vote as if it had promised nothing.',
    remedy:
      'Give the --image and --state that belong together. The first time, on all three: --create, with a --state directory and an --image that are not there yet; for a volume that has content already, --keep-image at the primary and --create --replace at the DR. A device must not be mounted.',
  },
  GW2301: {
    title: 'This is no registry hive',
    disposition: 'operator',
    cause:
      'The file does not begin like a Windows registry hive, is one of its logs, or has a version that is not known.',
    remedy: 'Give the file SYSTEM (or SOFTWARE) of Windows\\System32\\config, from Windows 2000 or newer.',
  },
  GW2302: {
    title: 'The registry hive is damaged',
    disposition: 'operator',
    cause: 'Something in the hive contradicts its format: an offset, a size, a list or a name. Nothing was written.',
    remedy:
      'Copy the file again while nobody writes it (a shadow copy, or `reg save HKLM\\SYSTEM FILE`). If Windows itself runs on it, report the message.',
  },
  GW2303: {
    title: 'The registry hive was not closed cleanly',
    disposition: 'operator',
    cause:
      'It was copied while Windows wrote it, or Windows crashed, and the logs beside it (LOG1, LOG2) are missing or do not complete it.',
    remedy:
      'Copy the hive together with its logs from one shadow copy, or take a clean one with `reg save HKLM\\SYSTEM FILE` or a clean shutdown.',
  },
  GW2304: {
    title: 'The two systems are not the same Windows',
    disposition: 'operator',
    cause:
      'Version, build, edition kind or processor architecture of source and target differ or are not known. Drivers of the one need not work in the other.',
    remedy:
      'Install the Windows of the source on the target, same build. Where the hives SOFTWARE cannot be given, --same-windows says that you made sure.',
  },
  GW2305: {
    title: 'The registry hive cannot be made',
    disposition: 'operator',
    cause: 'A hive lacks what every SYSTEM hive has, or the result would not fit into the format.',
    remedy: 'The message names what is missing or too large. Check that both files are SYSTEM hives of a Windows.',
  },
  GW2401: {
    title: 'Files cannot be moved on this platform',
    disposition: 'operator',
    cause: '`relocate` uses calls of 64-bit Linux that this system has not, or may not use.',
    remedy: 'Run it on 64-bit Linux 5.8 or newer, as root.',
  },
  GW2402: {
    title: 'A directory of the source cannot be read',
    disposition: 'operator',
    cause: 'The directory that --map names is not there, is no directory, or may not be read.',
    remedy: 'Correct --map, and run the agent as root.',
  },
  GW2403: {
    title: 'Source and target do not fit together',
    disposition: 'operator',
    cause: 'They are of versions that speak differently, or a directory of --map leads out of the root of the target.',
    remedy: 'Use the same version on both sides; the directories of the target are below its --root.',
  },
  GW2404: {
    title: 'The root of the target holds something else',
    disposition: 'operator',
    cause: 'A directory that would be written is not empty, or holds another move than this one.',
    remedy: 'Choose an empty --root. To go on with a move, use the --state and --map that it was begun with.',
  },
  GW2405: {
    title: 'The services of the target run, or may run',
    disposition: 'operator',
    cause:
      'Files were to be sent, or a cutover begun, while the target has the services, or after a command that starts or stops them failed there. Nothing is written under services that run.',
    remedy:
      '`godwit relocate status` says who has the services. `rollback` stops those of the target and gives them back to the source.',
  },
  GW2406: {
    title: 'Nobody said how services are started or stopped',
    disposition: 'operator',
    cause:
      'A cutover needs --stop-command with --resume-command, or --freeze-cgroup, of the agent, and --start-command with --stop-command of `receive`.',
    remedy:
      'Start agent and `receive` again with these flags; nothing that was sent is sent again. A side without services takes the command `true`.',
  },
  GW2407: {
    title: 'The one-file command cannot run on this system',
    disposition: 'operator',
    cause:
      'The C library of this system is older than what the file was built for, or the native parts that it carries could not be unpacked, or may not be loaded from where they were unpacked.',
    remedy:
      'The message says which. Native parts are unpacked below $XDG_CACHE_HOME or ~/.cache: set XDG_CACHE_HOME to a directory of your own on a file system that is not mounted noexec. On an older system run Godwit with a Node of its own.',
  },
  GW2411: {
    title: 'The moved system cannot be adapted',
    disposition: 'operator',
    cause:
      'It is no Debian or Ubuntu, its initramfs is not made by initramfs-tools, it has no kernel, or it lacks the GRUB that the firmware of the target starts.',
    remedy:
      'Install on the source what the message names (grub-pc-bin for BIOS, grub-efi-amd64-bin for UEFI) and move it again. Of other distributions, move directories.',
  },
  GW2412: {
    title: 'The disks of the target are not as they must be',
    disposition: 'operator',
    cause: 'The root, or /boot/efi for UEFI, is not mounted below --root, or is not on a disk with partitions.',
    remedy:
      'Mount the file systems of the target below --root as the moved system is to have them, and name its swap with --swap.',
  },
  GW2413: {
    title: 'No driver for the target',
    disposition: 'operator',
    cause:
      'A kernel of the moved system has no driver for a disk or network card of the target; cloud kernels lack many.',
    remedy: 'Install the general kernel on the source (linux-image-amd64, linux-image-generic) and move it again.',
  },
  GW2414: {
    title: 'It is not known which network card stands for which',
    disposition: 'operator',
    cause: 'The moved system configures other cards than the target has, or more than one.',
    remedy: 'Say it with --nic NAME=MAC for each; the message names both sides.',
  },
  GW2415: {
    title: 'The kernel of the moved system cannot be loaded',
    disposition: 'operator',
    cause:
      'Its boot menu starts no Linux, or the running kernel refuses to load it: EPERM without the rights of root or where loading is switched off, ENOSYS where it cannot, EKEYREJECTED or ELIBBAD where only signed kernels are started.',
    remedy: 'Restart the machine through its firmware in place of `systemctl kexec`; nothing else depends on this.',
  },
  GW2421: {
    title: 'A rehearsal cannot be made here',
    disposition: 'operator',
    cause:
      'Programs are missing, the processor is another one, the file systems of the moved system could not be frozen or cloned, or there is nowhere to write beside them.',
    remedy: 'The message says which; packages are named as Debian and Ubuntu call them.',
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
    remedy: 'Mend what the cause names, then run the same command again: it goes on from the last checkpoint.',
  },
  GW4001: {
    title: 'The source no longer has the changes needed',
    disposition: 'resnapshot',
    cause: 'The oplog rolled past the position reached, for example because Godwit was stopped for too long.',
    remedy:
      '`godwit migrate run --resync` compares both sides, copies again only what differs, and goes on from now (docs/how-to/lost-log.md). A larger oplog, or a shorter stop, avoids it.',
  },
  GW4002: {
    title: 'The change spool is damaged',
    disposition: 'operator',
    cause: 'A block of the spool on disk does not match its checksum, and it is not the torn end of the file.',
    remedy:
      'Check the disk. Then `godwit migrate run --resync` compares both sides, copies again only what differs, and goes on from now.',
  },
  GW4003: {
    title: 'The disk of the state directory is full',
    disposition: 'operator',
    cause: 'The change spool or the run state could not be written.',
    remedy: 'Free space or move --state to a larger disk, then resume. Nothing was lost.',
  },
  GW4004: {
    title: 'A resync would delete most of what the target holds',
    disposition: 'operator',
    cause:
      'The log is lost, `--resync` is given, and the side that is followed now has less than half of the documents of the other one.',
    remedy:
      'Look which side is right before anything else. If the followed one is: drop the chosen namespaces of the other and start a new run under another name. Nothing was changed.',
  },
  GW4006: {
    title: 'The kept log cannot be gone on with',
    disposition: 'operator',
    cause:
      '`godwit migrate spool` was stopped for longer than the source remembers: between the end of the kept log and the beginning of the source’s there are changes that nobody has.',
    remedy:
      'What is kept stays good for runs that end before the gap. Start a new one in another folder, with a new first time point.',
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
  GW5201: {
    title: 'The volume failed',
    disposition: 'operator',
    cause: 'The file or device behind a volume could not be read, written or made durable.',
    remedy:
      'Look at the disk. After a flush that failed all later ones fail too, until the volume is opened again: nobody can say what of the writes before is on the disk.',
  },
  GW5202: {
    title: 'The block server refused a request',
    disposition: 'operator',
    cause: 'A read, write or flush of a volume over NBD was answered with an error.',
    remedy: 'The message names the error; the log of that server says more.',
  },
  GW5203: {
    title: 'The block server breaks the protocol',
    disposition: 'operator',
    cause: 'What came from the server is not NBD, or answers nothing that was asked.',
    remedy: 'Check that the address is the block server’s; report it with both versions if it is.',
  },
  GW5401: {
    title: 'The target refused a file',
    disposition: 'operator',
    cause: 'A file could not be made, written or given its metadata on the target.',
    remedy: 'Mend what the message names, then run the agent again: what is there already is not sent again.',
  },
  GW5402: {
    title: 'The disk of the target is full',
    disposition: 'operator',
    cause: 'There is no room for another file below the root of the target.',
    remedy: 'Make room, then run the agent again: what is there already is not sent again.',
  },
  GW5403: {
    title: 'A command that starts or stops services failed',
    disposition: 'operator',
    cause: 'It ended with another code than 0, or took longer than --command-timeout.',
    remedy:
      'The details hold the command and the end of what it said. It must also succeed when there is nothing left for it to do.',
  },
  GW5411: {
    title: 'A step of the adaptation failed',
    disposition: 'operator',
    cause:
      'A program of the moved system (update-initramfs, grub-install, update-grub) ended with an error, or its result lacks something.',
    remedy:
      'The message has its words. Mend that (mostly room in /boot) and run the command again; `--undo` takes everything back.',
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
  GW6401: {
    title: 'The copy is not proven',
    disposition: 'operator',
    cause:
      'Files went on changing while they were read, could not be read, or differ. Changes during a copy are not captured: rounds follow them, and these did not come to an end.',
    remedy:
      'The message and `--json` name the files. Stop what writes them, or leave them out, then run the agent again: only what changed is sent.',
  },
  GW6402: {
    title: 'The rehearsal failed',
    disposition: 'operator',
    cause: 'The clone of the moved system did not come up, or not every probe was answered in time.',
    remedy:
      'The table says what answered; the serial log holds all that the clone said. The moved system is as it was: mend it on the source, let a round pass, and rehearse again. On a machine without KVM allow a longer --timeout.',
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
  GW7010: {
    title: 'A member could not be frozen',
    disposition: 'operator',
    cause:
      'The member gave no lock in time, refused it, or the process that watches over the lock did not start. It is not locked.',
    remedy: 'Mend what the message names and repeat the command, or leave --freeze out.',
  },
  GW7011: {
    title: 'A member may still be locked',
    disposition: 'operator',
    cause: 'The member that was frozen could not be reached to unlock it.',
    remedy:
      'Run `godwit migrate unfreeze` as soon as the member can be reached. By hand: `db.fsyncUnlock()` there, or start its mongod again.',
  },
  GW7012: {
    title: 'The primary is alive',
    disposition: 'operator',
    cause: 'A promotion was asked for while the primary holds a lease of the DR or of the auxiliary.',
    remedy: 'Stop the primary first, or wait until its lease is over; then promote again.',
  },
  GW7013: {
    title: 'The DR has missed operations',
    disposition: 'operator',
    cause: 'The DR was away, and what it missed has not come back to it yet.',
    remedy:
      'Bring the primary back and let it resynchronise; or promote by force, knowing that the volume is as of a moment that never was.',
  },
  GW7014: {
    title: 'This primary does not lead any more',
    disposition: 'operator',
    cause: 'The DR was promoted. Nothing is read from or written to the old primary.',
    remedy: 'Use the volume at the DR; give this side back to it as its copy.',
  },
  GW7015: {
    title: 'A disk of a protected volume failed',
    disposition: 'operator',
    cause: 'Ring, order, state or image could not be read, written or synced. The role ended: it does not guess.',
    remedy: 'Mend the disk or make room, then start the role again; it goes on from what is durable.',
  },
  GW7017: {
    title: 'There is no primary to give the volume back to',
    disposition: 'operator',
    cause: 'The DR leads, and no primary answered it in time.',
    remedy:
      'Start the old primary on its old state, or a new machine with `primary --create --replace`; then ask again. The DR serves the volume until then.',
  },
  GW7018: {
    title: 'Data of the promoted volume is at the auxiliary, which does not answer',
    disposition: 'operator',
    cause:
      'The DR took over and serves the volume while what it lacks is fetched. A read needed some of it, and the auxiliary gave nothing for half a minute.',
    remedy:
      'Bring the auxiliary, or the way to it, back; what it holds is fetched then. Until it is, do not give up the auxiliary.',
  },
  GW7019: {
    title: 'The DR cannot be compared now',
    disposition: 'operator',
    cause: 'The DR does not answer, or it was away and has not got back yet what it missed.',
    remedy:
      'Look at `godwit protect status` on the primary; when its mode is `full` and nothing is to be sent again, ask again.',
  },
  GW7020: {
    title: 'That moment cannot be reached',
    disposition: 'operator',
    cause:
      'The undo log of the DR does not go back so far, or the image was no state of the volume then, or the DR leads.',
    remedy:
      '`godwit protect status` on the DR says which moments can be reached; a larger --rewind keeps more of them.',
  },
  GW7031: {
    title: 'The volume was served nowhere for too long',
    disposition: 'operator',
    cause:
      'An attached volume lost its server, and none of its addresses served it within --grace. Its users have been told that it failed, and nothing is sent to it any more: somebody else may use it by now.',
    remedy:
      'Find out where the volume is served, check the file system, and attach anew. A longer --grace waits longer.',
  },
  GW7032: {
    title: 'The auxiliary or the DR is new, and not complete yet',
    disposition: 'operator',
    cause:
      'It was put in the place of one whose disk was lost (`--create --replace`), and has not got everything from the primary yet. Nobody can take over with it.',
    remedy:
      'Keep the primary running until `status` shows that it is complete. If the primary is lost, too, two failures came together: `promote --force` on a complete DR gives what it has.',
  },
  GW7033: {
    title: 'The primary keeps the lead',
    disposition: 'operator',
    cause:
      'A planned promotion was asked for, and the primary could not give up the lead, or the DR could not take it within --stall. The primary leads on, and writers go on there.',
    remedy:
      'Look at `status` of all three: all must be counted on (mode full), and the DR must have everything. Then ask again, perhaps with a longer --stall. Without a living primary: `promote` without --planned.',
  },
  GW7034: {
    title: 'The volume does not grow',
    disposition: 'operator',
    cause:
      'The size that was asked for is not larger than the volume, which never shrinks; or the primary does not lead, or the DR is not counted on or has no room.',
    remedy:
      'The message says which. What had made room already keeps it; ask again with the same size when the DR is there.',
  },
  GW7401: {
    title: 'The cutover was undone',
    disposition: 'operator',
    cause:
      'Services could not be stopped or started, the last changes were not sent and proved within --max-stall, or both sides differ. The source’s services go on; those of the target do not run.',
    remedy:
      'Mend what the message names, then cut over again. `godwit relocate status` shows that the source is followed.',
  },
  GW7402: {
    title: 'The services of the source do not go on',
    disposition: 'operator',
    cause:
      'A cutover was undone, the target’s services do not run, and those of the source could not be made to go on.',
    remedy: 'Mend what the message names, then `godwit relocate rollback` once more, or start the agent again.',
  },
  GW7403: {
    title: 'The last changes took longer than allowed',
    disposition: 'operator',
    cause:
      'After the source’s services stood still, sending and proving what was left took longer than --max-stall or --freeze-files.',
    remedy:
      'Wait until `godwit relocate status` shows a short last round, or allow a longer stall. `cutover --dry-run` shows the last round.',
  },
  GW8001: {
    title: 'Stopped on request',
    disposition: 'aborted',
    cause: 'A signal, `pause` or `cancel` ended the work. The state is checkpointed.',
    remedy: 'The same command again goes on where it was stopped; a migration also by `godwit migrate resume`.',
  },
  GW9001: {
    title: 'A bug in Godwit',
    disposition: 'fatal',
    cause: 'Something happened that the code rules out.',
    remedy: "Please report it with the message and, of a migration, the run's report.json. The source is untouched.",
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
