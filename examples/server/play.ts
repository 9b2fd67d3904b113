/** The demo itself, in namespaces of its own (see demo.ts). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { AgentResult, CutoverResult, MoveStatus } from '../../src/routes/relocate/api.ts';
import { createCertificates } from '../../test/servers/certificates.ts';
import { findBinaries, serverUser } from '../../test/servers/postgres.ts';
import { runCommand } from '../../test/servers/run-command.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { count, makeStory, ms } from '../shop/print.ts';
import { Customers } from './customers.ts';
import { BRIDGE, Machine, must, routeCommand, SHOP } from './machine.ts';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const JUDGE = fileURLToPath(new URL('../../test/files/judge.py', import.meta.url));
const FILES = 4_000;
const WRITERS = 6;
const READERS = 2;
const PEACE_MS = 5_000;
const HOME_MS = 4_000;

interface Outcome {
  outcome: string;
  certificate: string | null;
  differences: number | null;
  gapMs: number | null;
  rounds: number | null;
  acknowledged: number;
  lost: number | null;
  answeredTwice: number | null;
  durationSeconds: number;
}

const [dir = '', cgroups = '', ...flags] = process.argv.slice(2);
const json = flags.includes('--json');
const story = makeStory(json);
const children: ChildProcess[] = [];
const began = performance.now();
const outcome: Outcome = {
  outcome: 'not finished',
  certificate: null,
  differences: null,
  gapMs: null,
  rounds: null,
  acknowledged: 0,
  lost: null,
  answeredTwice: null,
  durationSeconds: 0,
};
try {
  await play();
  const { lost, answeredTwice, differences } = outcome;
  outcome.outcome = lost === 0 && answeredTwice === 0 && differences === 0 ? 'ok' : 'something was lost or doubled';
} catch (error) {
  outcome.outcome = error instanceof Error ? error.message : String(error);
  story.bad(outcome.outcome);
}
for (const child of children) child.kill('SIGKILL');
outcome.durationSeconds = Math.round((performance.now() - began) / 100) / 10;
if (json) process.stdout.write(`${JSON.stringify(outcome)}\n`);
// With this process, the first of its namespaces, go all others in them, the mounts and the loop devices.
process.exit(outcome.outcome === 'ok' ? 0 : 1);

async function play(): Promise<void> {
  story.step('Two machines: each a root on a disk of its own, its own network and its own processes');
  await must('ip', ['link', 'set', 'lo', 'up']);
  await must('ip', ['link', 'add', BRIDGE, 'type', 'bridge']);
  await must('ip', ['addr', 'add', '10.77.0.1/24', 'dev', BRIDGE]);
  await must('ip', ['link', 'set', BRIDGE, 'up']);
  const old = await Machine.start(dir, 'old', 2, cgroups);
  const fresh = await Machine.start(dir, 'new', 3, cgroups);
  const env = await fill(old);
  const { stdout } = await runCommand('du', ['-sh', old.mount]);
  story.good(`old holds a web shop: application, PostgreSQL, ${count(FILES)} pictures (${stdout.split('\t')[0]})`);

  story.step(`${WRITERS + READERS} customers order and look at their orders, all the time`);
  await must('sh', ['-c', old.services('start', env)]);
  await must('sh', ['-c', routeCommand(old)]);
  const customers = new Customers(SHOP, 8080, WRITERS, READERS);
  await sleep(PEACE_MS);
  story.say(`${count((customers.acknowledged.size * 1_000) / PEACE_MS)} orders a second are acknowledged by old`);

  story.step('The root moves, while the shop is open');
  const tls = await createCertificates(join(dir, 'tls'), `IP:${fresh.address}`);
  const keys = (pem: string) => ['--tls-ca', tls.caFile, '--tls-cert', pem, '--tls-key', pem];
  const receive = godwit(fresh, [
    ...['receive', '--listen', `${fresh.address}:7070`, '--root', fresh.mount, '--state', join(dir, 'receive')],
    ...['--start-command', `${fresh.services('start', env)} && ${routeCommand(fresh)}`],
    ...['--stop-command', fresh.services('stop', env), ...keys(tls.serverCertKeyFile)],
  ]);
  await receive.said('listening');
  const state = join(dir, 'agent');
  story.command(`godwit relocate receive --listen :7070 --root / --start-command '…' --tls-…   (on new)`);
  story.command(`godwit relocate agent --to new:7070 --map /=/ --name shop --freeze-cgroup … --tls-…   (on old)`);
  const agent = godwit(old, [
    ...['agent', '--to', `${fresh.address}:7070`, '--map', `${old.mount}=/`, '--state', state, '--name', 'shop'],
    ...['--freeze-cgroup', old.cgroup, ...keys(tls.clientCertKeyFile), '--json'],
  ]);
  await agent.said('"phase":"following"');
  story.good('the first copy is there; rounds follow what changes');
  await waitFor(async () => (await ask<MoveStatus>(['status', '--state', state])).lookedAt !== undefined, {
    timeoutMs: 60_000,
    what: 'both sides to be read',
    intervalMs: 200,
  });
  await sleep(2_000);
  story.command('godwit relocate status');
  for (const line of (await must(process.execPath, [CLI, 'relocate', 'status', '--state', state]))
    .trimEnd()
    .split('\n'))
    story.quote(line);

  story.step('Cutover');
  story.command('godwit relocate cutover --max-stall 20 --yes-stop shop');
  const done = await ask<CutoverResult>(['cutover', '--state', state, '--max-stall', '20', '--yes-stop', 'shop']);
  const { stopMs, drainMs, proofMs, startMs } = done.parts ?? { stopMs: 0, drainMs: 0, proofMs: 0, startMs: 0 };
  story.table([
    ['freeze', 'last changes', 'proof', 'PostgreSQL and shop start', 'together'],
    [...[stopMs, drainMs, proofMs, startMs].map(ms), ms(done.gapMs ?? Number.NaN)],
  ]);
  outcome.certificate = done.certificate?.mappings[0]?.root ?? null;
  outcome.rounds = (await ask<MoveStatus>(['status', '--state', state])).roundCount;
  // The frozen root of old is as it was at the cutover: anybody can certify it.
  const judged = (await must('python3', [JUDGE, 'certify', old.mount])).trim();
  const isSame = judged === outcome.certificate;
  outcome.differences = isSame ? 0 : null;
  (isSame ? story.good : story.bad)(
    `${count(done.certificate?.entries ?? 0)} files were proved equal on both sides: ${outcome.certificate?.slice(0, 16)}…`,
  );
  if (isSame) story.good('a program that shares no code with godwit computes the same certificate of old');

  story.step('At home');
  await sleep(HOME_MS);
  story.command('godwit relocate commit --yes-end shop');
  await ask<MoveStatus>(['commit', '--state', state, '--yes-end', 'shop']);
  const result = await agent.result();
  story.say(`the frozen processes of old are ended; the move is ${result.outcome} after ${result.roundCount} rounds`);
  await customers.stop();

  story.step('Proof');
  await prove(customers, fresh, old);
}

async function prove(customers: Customers, fresh: Machine, old: Machine): Promise<void> {
  const client = new pg.Client({ host: join(fresh.mount, 'run'), user: 'postgres', database: 'shop' });
  await client.connect();
  const { rows } = await client.query<{ id: string; text: string }>('select id, text from orders');
  await client.end();
  const found = new Map(rows.map(({ id, text }) => [Number(id), text]));
  const numbers = [...customers.acknowledged.keys()];
  const lost = numbers.filter((id) => found.get(id) !== `order ${id} `.repeat(20)).length;
  const { gapMs, lateOnes } = gapOf(customers, old.name);
  outcome.acknowledged = numbers.length;
  outcome.lost = lost + customers.missed;
  outcome.answeredTwice = customers.twice + lateOnes;
  outcome.gapMs = Math.round(gapMs);
  const by = (machine: string) => count([...customers.acknowledged.values()].filter((each) => each === machine).length);
  story.say(`${by(old.name)} orders were acknowledged by old, then ${by(fresh.name)} by new`);
  (lost === 0 ? story.good : story.bad)(`of ${count(numbers.length)} acknowledged orders, lost at new: ${lost}`);
  (customers.missed === 0 ? story.good : story.bad)(`of ${count(customers.reads)} looks, wrong: ${customers.missed}`);
  (outcome.answeredTwice === 0 ? story.good : story.bad)(
    `orders acknowledged twice, or by old after new had begun: ${outcome.answeredTwice}`,
  );
  story.good(`for ${ms(gapMs)} no order was acknowledged: that is all that the customers saw of it`);
}

/** Between the last answer of the one and the first of the other; and what the first one still said after that. */
function gapOf({ answers }: Customers, before: string): { gapMs: number; lateOnes: number } {
  const first = answers.findIndex(({ machine }) => machine !== before);
  const last = answers[first - 1];
  const next = answers[first];
  if (last === undefined || next === undefined) throw new Error('new has acknowledged nothing');
  return {
    gapMs: next.at - last.at,
    lateOnes: answers.slice(first).filter(({ machine }) => machine === before).length,
  };
}

/** A shop, as it might lie on the disk of a server. */
async function fill({ mount, root }: Machine): Promise<Readonly<Record<string, string>>> {
  cpSync(fileURLToPath(new URL('./root', import.meta.url)), mount, { recursive: true });
  // What is installed on every machine alike.
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(mount, 'app/node_modules'));
  const bin = await findBinaries();
  const user = (await serverUser()) ?? { uid: 0, gid: 0 };
  for (const name of ['data', 'run', 'log', 'pictures']) mkdirSync(join(mount, name));
  const owner = `${user.uid}:${user.gid}`;
  await must('chown', [owner, join(mount, 'data'), join(mount, 'run')]);
  await must('chmod', ['777', join(mount, 'log')]);
  const as = ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'];
  const data = join(mount, 'data');
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'];
  await must('env', ['-C', '/', 'setpriv', ...as, join(bin, 'initdb'), ...initdb]);
  for (const [database, sql] of [
    ['postgres', 'create database shop'],
    ['shop', 'create table orders (id bigint primary key, text text not null)'],
  ] as const) {
    const single = `echo "${sql}" | setpriv ${as.join(' ')} ${join(bin, 'postgres')} --single -F -D ${data} ${database}`;
    await must('env', ['-C', '/', 'sh', '-c', single]);
  }
  for (let at = 0; at < FILES; at += 1) {
    const folder = join(mount, 'pictures', String(at % 40).padStart(2, '0'));
    if (at < 40) mkdirSync(folder);
    writeFileSync(join(folder, `${at}.jpg`), Buffer.alloc(2_000 + ((at * 7_919) % 30_000), at));
  }
  return { NODE: process.execPath, PG_BIN: bin, PG_UID: String(user.uid), PG_GID: String(user.gid), HOME: root };
}

interface Running {
  said(what: string): Promise<unknown>;
  result(): Promise<AgentResult>;
}

/** `godwit relocate …` on a machine. */
function godwit(machine: Machine, words: readonly string[]): Running {
  const [program, args] = machine.onNetwork(process.execPath, [CLI, 'relocate', ...words]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  const ended = once(child, 'close');
  return {
    said: (what) =>
      waitFor(
        () => {
          if (child.exitCode !== null) throw new Error(text);
          return text.includes(what);
        },
        { timeoutMs: 60_000, what: `${words[0]} to say ${what}` },
      ),
    async result() {
      await ended;
      const last = text.trimEnd().split('\n').at(-1) ?? '';
      return (JSON.parse(last) as { result: AgentResult }).result;
    },
  };
}

/** What a command answers, in JSON. */
async function ask<T>(words: readonly string[]): Promise<T> {
  const { stdout, stderr } = await runCommand(process.execPath, [CLI, 'relocate', ...words, '--json']);
  const answer = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as T & { error?: { message: string } };
  if (answer.error) throw new Error(`${words[0]}: ${answer.error.message} ${stderr}`);
  return answer;
}
