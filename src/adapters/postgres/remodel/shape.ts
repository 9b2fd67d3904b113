/** What the tables of a remodel look like, for seeing when somebody changes them. */
import type pg from 'pg';
import type { Model } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { onConnection } from './session.ts';
import { quoteTable } from './tables.ts';
import { withPresentOld } from './trap-names.ts';

/**
 * Columns, indexes, constraints and triggers of the old and the new tables as
 * lines of text, in order. Everything that decides whether a row is taken and
 * how it compares is in it; names of schemas are in it, statistics are not.
 * The old table goes by its lasting name: behind the trap its shape is the same.
 */
export function shapeOf(pool: pg.Pool, model: Model): Promise<readonly string[]> {
  return onConnection(pool, `Reading the shape of the tables of ${model.name}`, async (exec) => {
    const { from, to } = await withPresentOld(exec, model);
    const lines: string[] = [];
    for (const { name } of [from, ...Object.values(to)]) lines.push(...(await tableLines(exec, name)));
    if (from !== model.from) {
      const rename = await lastingName(exec, from.name, model.from.name);
      return lines.map(rename).sort();
    }
    return lines.sort();
  });
}

/** Gives lines the name that the old table has before and after the trap, as the server writes it. */
async function lastingName(exec: Executor, present: string, lasting: string): Promise<(line: string) => string> {
  const { rows } = await exec.query('select quote_ident($1) as present, quote_ident($2) as lasting', [
    bare(present),
    bare(lasting),
  ]);
  const names = rows[0] as { present: string; lasting: string };
  if (names.present.startsWith('"')) return (line) => line.replaceAll(names.present, names.lasting);
  const word = new RegExp(`\\b${names.present}\\b`, 'g');
  return (line) => line.replace(word, () => names.lasting);
}

function bare(name: string): string {
  return name.split('.').at(-1) as string;
}

/** `%s` stands for the table. */
const PARTS: readonly string[] = [
  `select format('table %s kind %s persistence %s row security %s', t.name, c.relkind, c.relpersistence, c.relrowsecurity)
     from pg_class c, t where c.oid = t.oid`,
  `select format('column %s.%I place %s type %s%s%s%s%s', t.name, a.attname,
            (select count(*) from pg_attribute b where b.attrelid = t.oid and b.attnum > 0 and not b.attisdropped
                and b.attnum <= a.attnum),
            format_type(a.atttypid, a.atttypmod),
            case when a.attcollation <> y.typcollation then ' collate ' || a.attcollation::regcollation::text else '' end,
            case when a.attnotnull then ' not null' else '' end,
            case when d.adbin is null then '' when a.attgenerated = 's' then ' generated ' || pg_get_expr(d.adbin, d.adrelid)
                 else ' default ' || pg_get_expr(d.adbin, d.adrelid) end,
            case when a.attidentity = '' then '' else ' identity ' || a.attidentity::text end)
     from t join pg_attribute a on a.attrelid = t.oid join pg_type y on y.oid = a.atttypid
     left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attnum > 0 and not a.attisdropped`,
  `select format('index %s: %s%s', t.name, pg_get_indexdef(i.indexrelid), case when i.indisvalid then '' else ' invalid' end)
     from pg_index i join t on i.indrelid = t.oid`,
  `select format('constraint %s.%I: %s%s', t.name, k.conname, pg_get_constraintdef(k.oid),
            case when k.convalidated then '' else ' not valid' end)
     from pg_constraint k join t on k.conrelid = t.oid`,
  `select format('trigger %s enabled %s: %s', t.name, g.tgenabled, pg_get_triggerdef(g.oid))
     from pg_trigger g join t on g.tgrelid = t.oid where not g.tgisinternal`,
  `select format('rule %s enabled %s: %s', t.name, r.ev_enabled, pg_get_ruledef(r.oid))
     from pg_rewrite r join t on r.ev_class = t.oid where r.rulename <> '_RETURN'`,
  `select format('policy %s.%I %s %s using %s check %s', t.name, p.polname, p.polcmd, p.polpermissive,
            pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
     from pg_policy p join t on p.polrelid = t.oid`,
];

async function tableLines(exec: Executor, name: string): Promise<readonly string[]> {
  const { rows } = await exec.query(
    `with t as materialized (select c.oid, format('%I.%I', n.nspname, c.relname) as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1))
     select line from (${PARTS.join(' union all ')}) as lines(line)`,
    [quoteTable(name)],
  );
  if (rows.length === 0) return [`table ${name} is not there`];
  return rows.map((row) => row['line'] as string);
}
