/** What the command uses of this part of the route. */
import type { RegistryRoute } from './api.ts';
import { mergeRegistry } from './merge.ts';

export const merge: RegistryRoute['merge'] = mergeRegistry;
