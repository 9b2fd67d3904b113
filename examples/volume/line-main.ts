/** Runs in the namespace of the far line until whoever started it is gone. */
import { FarLink } from './far-link.ts';
import type { LineNews, LineOrder } from './line-process.ts';

const link = new FarLink(Number(process.argv[2]), (troubles) => tell({ troubles }));

// Ctrl-C at a terminal goes to all; who started this one ends it.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(0));
process.on('message', (order: LineOrder) => {
  if (order === 'worsen') link.worsen();
  else void open(order.open);
});

async function open(ways: Extract<LineOrder, object>['open']): Promise<void> {
  const ports: number[] = [];
  for (const { port, ...hosts } of ways) ports.push(await link.to(port, hosts));
  tell({ ports });
}

function tell(news: LineNews): void {
  process.send?.(news);
}
