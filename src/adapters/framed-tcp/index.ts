/** What routes use of this adapter. */
export { type Address, Mesh } from './mesh.ts';
