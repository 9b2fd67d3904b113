export { agent, verify } from './agent.ts';
export { commit, cutover, rollback, status } from './commands.ts';
export { guard } from './guard.ts';
export { serve as receive } from './receive.ts';
