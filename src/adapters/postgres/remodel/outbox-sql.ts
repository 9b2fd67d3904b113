/**
 * SQL: a row of the outbox is of a remodel, for statements that name identities.
 * Written so that only the primary key, which begins with the identity, can be
 * used. The planner mostly sees a queue of a few rows, and would rather read
 * all of a remodel's by the index of their age: with each of a pass, of a
 * queue that is long when it matters.
 *
 * @param column `remodel`, with its alias if need be
 * @param name parameter or literal of the remodel's name
 */
export function isOfRemodel(column: string, name: string): string {
  return `${column} || '' = ${name}`;
}
