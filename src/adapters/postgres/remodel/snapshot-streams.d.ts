/** The part of `pg-copy-streams` that is used here; the package brings no types. */
declare module 'pg-copy-streams' {
  import type { Readable, Writable } from 'node:stream';
  import type { Submittable } from 'pg';

  /** Query for `client.query`: the rows that `COPY … TO STDOUT` sends. */
  export function to(sql: string): Readable & Submittable & { readonly rowCount: number };
  /** Query for `client.query`: what is written goes to `COPY … FROM STDIN`; `finish` comes after the server has it. */
  export function from(sql: string): Writable & Submittable & { readonly rowCount: number };
}
