/** The web application: orders are written to PostgreSQL before they are acknowledged, and can be read back. */
import { createServer } from 'node:http';
import pg from 'pg';

const { ROOT, MACHINE, PORT = '8080' } = process.env;
const pool = new pg.Pool({ host: `${ROOT}/run`, user: 'postgres', database: 'shop', max: 12 });
// The database may be gone for a moment; whoever asks is told.
pool.on('error', () => undefined);

async function answer(request) {
  const { pathname } = new URL(request.url ?? '/', 'http://shop');
  const [, what, id] = pathname.split('/');
  if (what === 'health') return (await pool.query('select 1')).rowCount === 1 ? { ok: true } : undefined;
  if (what !== 'orders' || !/^\d+$/.test(id ?? '')) return undefined;
  if (request.method === 'POST') {
    // A customer who had no answer asks again with the same number: that is one order, not two.
    const made = await pool.query('insert into orders (id, text) values ($1, $2) on conflict do nothing', [
      id,
      `order ${id} `.repeat(20),
    ]);
    return { id: Number(id), again: made.rowCount === 0 };
  }
  const { rows } = await pool.query('select id, text from orders where id = $1', [id]);
  return rows[0];
}

createServer((request, response) => {
  const say = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-machine': MACHINE });
    response.end(JSON.stringify(body));
  };
  answer(request).then(
    (body) => (body === undefined ? say(404, {}) : say(200, body)),
    (error) => say(503, { error: String(error) }),
  );
}).listen(Number(PORT));
