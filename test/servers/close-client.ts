import type { MongoClient } from 'mongodb';

const PATIENCE_MS = 1000;

/**
 * Closes a client that may or may not be connected, and whose servers may be dead without the driver
 * having noticed: its goodbye (`endSessions`) then waits for a server to turn up, and we do not.
 */
export async function closeClient(client: Promise<MongoClient> | undefined): Promise<void> {
  const closed = client?.then((each) => each.close()).catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS);
  });
  await Promise.race([closed, patience]);
  clearTimeout(timer);
}
