import { expect, test } from 'vitest';
import type { RehearseResult } from '../../routes/relocate/rehearse/api.ts';
import { makePaint } from '../paint.ts';
import { rehearseEventLine, rehearseProgressLines, rehearseText } from './rehearse-text.ts';

const paint = makePaint(false);
const PASSED: RehearseResult = {
  version: 1,
  command: 'rehearse',
  outcome: 'passed',
  root: '/mnt/new',
  distribution: 'Debian GNU/Linux 12 (bookworm)',
  kernel: '6.1.0-50-amd64',
  accelerator: 'tcg',
  laid: [],
  betweenRounds: 'yes',
  system: { state: 'degraded', seconds: 152.8 },
  failedUnits: ['mail.service'],
  probes: [
    { probe: 'http://:80/', ok: true, seconds: 104.7, detail: '200 OK' },
    { probe: 'exec:systemctl is-active shop', ok: true, seconds: 9.9, detail: 'active' },
  ],
  heldSeconds: 184,
  durationSeconds: 185,
};

test('a table of what answered and after how long', () => {
  expect(rehearseText(PASSED, paint)).toEqual([
    '',
    'Probe                             After  Answer',
    'http://:80/                     104.7 s  ✓ 200 OK',
    'exec:systemctl is-active shop     9.9 s  ✓ active',
    'The clone came up as degraded after 152.8 s',
    '! mail.service failed in it',
    'passed: Debian GNU/Linux 12 (bookworm), kernel 6.1.0-50-amd64 (the source waited 184.0 s)',
  ]);
});

test('of one that failed: which, why, the end of what it said, and where all of it lies', () => {
  const lines = rehearseText(
    {
      ...PASSED,
      outcome: 'failed',
      because: 'not everything had answered after 200 s',
      betweenRounds: 'no',
      probes: [{ probe: 'tcp:81', ok: false, detail: 'refused' }],
      serial: '/var/lib/serial.log',
      lastWords: ['shop login: \u001b[2J'],
    },
    paint,
  );
  expect(lines[2]).toBe('tcp:81         —  ✗ refused');
  const text = lines.join('\n');
  expect(text).toContain('GW6402 The rehearsal failed: not everything had answered after 200 s');
  expect(text).toContain('in the middle of a round');
  expect(text).toContain('serial log: /var/lib/serial.log');
  // What a machine says is printed, not obeyed.
  expect(text).toContain('│ shop login: ');
  expect(text).not.toContain('\u001b');
});

test('progress says what is waited for, within the width of the terminal', () => {
  const progress = {
    seconds: 61.2,
    timeout: 600,
    probes: PASSED.probes.map((one) => ({ ...one, ok: false })),
    said: 'x',
  };
  const [first = '', second] = rehearseProgressLines(progress, 60);
  expect(first).toMatch(/^ {2}61 s of 600 s at most; waits for http:\/\/:80\/, exec/);
  expect(first.length).toBe(60);
  expect(second).toBe('  x');
});

test('each event is a line', () => {
  expect(rehearseEventLine({ type: 'event', kind: 'held', by: 'receiver', seconds: 0.64 }, paint)).toBe(
    'the files stand still (after 0.6 s); the source runs on, its changes wait',
  );
  expect(rehearseEventLine({ type: 'event', kind: 'started', accelerator: 'tcg' }, paint)).toContain('slow');
  expect(rehearseEventLine({ type: 'event', kind: 'probe', probe: 'tcp:22', seconds: 107.6 }, paint)).toBe(
    ' 108 s ✓ tcp:22',
  );
});
