export { type ControlView, ControlWatch } from './control-watch.ts';
export { describeError, type GodwitEvent, type OnEvent, safely } from './events.ts';
