/** Moves a running system over the network: the agent reads it from within, the receiver runs in the machine that is to become it. */
import type { AgentResult, CutoverResult } from '../../src/routes/relocate/api.ts';
import { Customer } from './customer.ts';
import { mountTarget, unmountTarget } from './own-machine.ts';
import { HOST_ADDRESS, type Login } from './source.ts';
import { mountTools, RELOCATE, resultOf, tls } from './tools.ts';
import { RECEIVER_PORT, type Vm } from './vm.ts';

interface Side {
  readonly vm: Vm;
  readonly login: Login;
}

export interface LiveMove {
  readonly result: AgentResult;
  readonly cutover: CutoverResult;
  readonly orders: Pick<Customer, 'taken' | 'failed'>;
  /** Orders that failed while the source still had the services. */
  readonly failedBefore: readonly string[];
}

/** Nothing here is given up because a machine is slow. */
const PATIENT = '3600';

/** The services of the source stand still afterwards, and the target's disk is unmounted. */
export async function moveLive(source: Side, target: Side, root: string): Promise<LiveMove> {
  await Promise.all([source, target].map(({ vm, login }) => mountTools(vm, login)));
  await mountTarget(target.vm, target.login, root);
  const serving = target.vm.ssh(
    target.login,
    `${RELOCATE} receive --listen :${RECEIVER_PORT} --root /mnt/new --state /run/g/state --once --json ${tls('target')} \\
    --start-command true --stop-command true --command-timeout ${PATIENT} > /run/g/log 2>&1 || { cat /run/g/log; exit 1; }`,
  );
  await Promise.race([serving, target.vm.ssh(target.login, until('"kind":"listening"'))]);
  const customer = new Customer(source.vm);
  try {
    const moving = source.vm.ssh(
      source.login,
      `${RELOCATE} agent --to ${HOST_ADDRESS}:${target.vm.ports.receiver} --map /=/ --state /run/g/state --json ${tls('source')} \\
      --stop-command 'systemctl stop shop' --resume-command 'systemctl start shop' --command-timeout ${PATIENT} \\
      --retry-for ${PATIENT} --compress never > /run/g/log 2>&1 || { tail -n 20 /run/g/log; exit 1; }
      tail -n 1 /run/g/log`,
    );
    await Promise.race([moving, serving, source.vm.ssh(source.login, until('"doing":"following"'))]);
    const failedBefore = [...customer.failed];
    const cutover = JSON.parse(
      await source.vm.ssh(
        source.login,
        `${RELOCATE} cutover --state /run/g/state --max-stall ${PATIENT} --yes-stop default --json`,
      ),
    ) as CutoverResult;
    await source.vm.ssh(source.login, `${RELOCATE} commit --state /run/g/state --yes-end default --json`);
    const result = resultOf<AgentResult>(await moving);
    await serving;
    await customer.leave();
    await unmountTarget(target.vm, target.login);
    return { result, cutover, orders: customer, failedBefore };
  } finally {
    await customer.leave();
  }
}

function until(line: string): string {
  return `until grep -qs '${line}' /run/g/log; do sleep 1; done`;
}
