/** What a role says of itself, for Prometheus. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GodwitError } from '../../../kernel/errors.ts';
import { familyText, type MetricKind, sampleLine } from '../../../kernel/prometheus.ts';
import {
  type Amount,
  type DrStatus,
  type HostPort,
  type Outcome,
  type PeerStatus,
  type PrimaryStatus,
  type RecoveryPoint,
  type RoleStatus,
  VERDICTS,
} from '../api.ts';
import { MODES } from '../engine/rules.ts';

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Metric {
  readonly name: string;
  readonly type: MetricKind;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** The whole page. */
export function metricsText(status: RoleStatus): string {
  const own = { volume: status.volume, role: status.role };
  return metricsOf(status)
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, type, help, samples }) => {
      const full = `godwit_protect_${name}`;
      return familyText(
        full,
        type,
        help,
        samples.map(({ labels, value }) => sampleLine(full, { ...own, ...labels }, value)),
      );
    })
    .join('');
}

function metricsOf(status: RoleStatus): Metric[] {
  const epoch = one('epoch', 'gauge', 'Epoch of the last record.', status.epoch);
  switch (status.role) {
    case 'primary':
      return [epoch, ...primaryMetrics(status)];
    case 'auxiliary':
      return [
        epoch,
        one('held_operations', 'gauge', 'Operations held for the DR.', status.last - status.base),
        one('ring_fill_ratio', 'gauge', 'Share of the ring in use.', status.ringFill),
      ];
    case 'dr':
      return [epoch, ...drMetrics(status)];
  }
}

function primaryMetrics(status: PrimaryStatus): Metric[] {
  return [
    one('leading', 'gauge', '1 while this primary leads.', status.phase === 'leading' ? 1 : 0),
    one('lease', 'gauge', '1 while it may acknowledge.', status.hasLease ? 1 : 0),
    {
      name: 'mode',
      type: 'gauge',
      help: '1 for the mode in force: which roles are counted on.',
      samples: MODES.map((mode) => ({ labels: { mode }, value: status.mode === mode ? 1 : 0 })),
    },
    one('operations_total', 'counter', 'Sequence of the last operation.', status.last),
    one('settled_operations_total', 'counter', 'Operations as safe as the policy promises.', status.settled),
    one('order_lag_operations', 'gauge', 'Operations whose order is not at the DR.', status.orderLag),
    ...amount('data_lag', 'Data that is not at the DR', status.dataLag),
    one('ring_fill_ratio', 'gauge', 'Share of the ring in use.', status.ringFill),
    one('resync_remaining_bytes', 'gauge', 'To be sent again to a DR that was away.', status.resyncBytes),
    one(
      'verify_compared_bytes',
      'gauge',
      'Compared with the DR, while it is being.',
      status.verify?.comparedBytes ?? 0,
    ),
    one(
      'verify_differing_chunks',
      'gauge',
      'Chunks that differ at the DR, while it is being compared.',
      status.verify?.differing ?? 0,
    ),
    ...peerMetrics(status.peers),
    ...lossMetrics(status),
  ];
}

function drMetrics(status: DrStatus): Metric[] {
  const { failback, bringUp, rewind } = status;
  const earliest = rewind?.reach?.from.at;
  return [
    one('promoted', 'gauge', '1 once it has taken over.', status.phase === 'promoted' ? 1 : 0),
    one('ordered_operations_total', 'counter', 'Operations whose order is here.', status.last),
    one('executed_operations_total', 'counter', 'Operations that are in the image.', status.base),
    ...amount('data_lag', 'Data whose order is here, and itself not', status.dataLag),
    ...amount('suspended', 'Data that is here and waits for its turn', status.suspended),
    one('ring_fill_ratio', 'gauge', 'Share in use of the room for what is not executed.', status.ringFill),
    one('bring_up_remaining_operations', 'gauge', 'Pending since the promotion.', bringUp?.operations ?? 0),
    one('bring_up_remaining_bytes', 'gauge', 'Data that is pending since the promotion.', bringUp?.bytes ?? 0),
    one('failback_bytes_total', 'counter', 'Payload given back to the primary.', failback?.bytes ?? 0),
    one(
      'failback_remaining_bytes',
      'gauge',
      'To be given back still, while it is being.',
      failback?.remainingBytes ?? 0,
    ),
    one('failback_compared_ratio', 'gauge', 'Share compared with the primary.', failback?.comparedShare ?? 0),
    one('rewind_log_fill_ratio', 'gauge', 'Share of the undo log in use; 0 without one.', rewind?.fill ?? 0),
    one(
      'rewind_reach_seconds',
      'gauge',
      'How far back the image can be rewound; 0: not at all, or since when is not known.',
      earliest ? Math.max(0, (Date.now() - Date.parse(earliest)) / 1000) : 0,
    ),
    one('stale', 'gauge', '1 while operations are missing here.', status.stale ? 1 : 0),
    ...peerMetrics(status.peers),
    ...lossMetrics(status),
  ];
}

function amount(name: string, help: string, { operations, bytes, seconds }: Amount): Metric[] {
  return [
    one(`${name}_operations`, 'gauge', `${help}: operations.`, operations),
    one(`${name}_bytes`, 'gauge', `${help}: bytes.`, bytes),
    one(`${name}_seconds`, 'gauge', `${help}: age of the oldest.`, seconds),
  ];
}

function peerMetrics(peers: Readonly<Record<string, PeerStatus>>): Metric[] {
  const all = Object.entries(peers);
  const lanes = (pick: (lane: PeerStatus['order']) => number): Sample[] =>
    all.flatMap(([peer, { order, data }]) => [
      { labels: { peer, lane: 'order' }, value: pick(order) },
      { labels: { peer, lane: 'data' }, value: pick(data) },
    ]);
  return [
    {
      name: 'peer_connected',
      type: 'gauge',
      help: '1 while connected.',
      samples: all.map(([peer, { connected }]) => ({ labels: { peer }, value: connected ? 1 : 0 })),
    },
    {
      name: 'sent_bytes_total',
      type: 'counter',
      help: 'Bytes sent since the start.',
      samples: lanes(({ sent }) => sent),
    },
    {
      name: 'received_bytes_total',
      type: 'counter',
      help: 'Bytes received since the start.',
      samples: lanes(({ received }) => received),
    },
  ];
}

/** `lost` names the roles that are lost, `fails` those that would be. */
function lossMetrics({
  recoveryPoints,
  outcomes,
}: {
  readonly recoveryPoints: readonly RecoveryPoint[];
  readonly outcomes: readonly Outcome[];
}): Metric[] {
  const points = (name: string, help: string, pick: (point: RecoveryPoint) => number): Metric => ({
    name: `recovery_point_${name}`,
    type: 'gauge',
    help,
    samples: recoveryPoints.map((point) => ({ labels: { lost: point.lost.join('+') }, value: pick(point) })),
  });
  return [
    points('operation', 'The volume would go on as of this operation; -1: nowhere.', ({ sequence }) => sequence ?? -1),
    points('lost_operations', 'Operations that would be lost.', ({ missing }) => missing.operations),
    points('lost_bytes', 'Bytes that would be lost.', ({ missing }) => missing.bytes),
    points('lost_seconds', 'Age of the oldest operation that would be lost.', ({ missing }) => missing.seconds),
    {
      name: 'failure_outcome',
      type: 'gauge',
      help: '1 for what it would cost if these roles were lost now.',
      samples: outcomes.flatMap(({ roles, verdict }) =>
        VERDICTS.map((outcome) => ({
          labels: { fails: roles.join('+') || 'any', outcome },
          value: outcome === verdict ? 1 : 0,
        })),
      ),
    },
  ];
}

function one(name: string, type: Metric['type'], help: string, value: number): Metric {
  return { name, type, help, samples: [{ value }] };
}

/** Serves `/metrics` until it is closed. @throws GodwitError GW1001 when it cannot listen there */
export async function serveMetrics(
  at: HostPort,
  status: () => RoleStatus | undefined,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const now = request.url === '/metrics' ? status() : undefined;
    if (request.url !== '/metrics') response.writeHead(404).end('/metrics is here\n');
    else if (now === undefined) response.writeHead(503).end('not open yet\n');
    else response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(metricsText(now));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new GodwitError('GW1001', `Cannot listen on ${at.host}:${at.port}: ${error.message}`, { cause: error })),
    );
    server.listen(at.port, at.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
