import { expect, test } from 'vitest';
import { GroupCommit } from './group-commit.ts';

/** A sync that ends when it is told to. */
function manual() {
  const running: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const commits = new GroupCommit(() => new Promise<void>((resolve, reject) => running.push({ resolve, reject })));
  return { running, commits };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('who comes while a sync runs waits for the next one, which serves all of them', async () => {
  const { running, commits } = manual();
  const done: string[] = [];
  const wait = (name: string) => commits.commit().then(() => done.push(name));
  const all = [wait('a'), wait('b'), wait('c')];
  await turn();
  expect(running.length).toBe(1);
  running[0]!.resolve();
  await turn();
  expect(done).toEqual(['a']);
  expect(running.length).toBe(2);
  all.push(wait('d')); // the second is under way already: it may have begun before what d is about
  running[1]!.resolve();
  await turn();
  expect(done).toEqual(['a', 'b', 'c']);
  running[2]!.resolve();
  await Promise.all(all);
  expect(done).toEqual(['a', 'b', 'c', 'd']);
  expect(commits.syncs).toBe(3);
});

test('after a failed sync none succeeds any more, and none is tried', async () => {
  const { running, commits } = manual();
  const all = [commits.commit(), commits.commit()].map((each) => each.catch((error: Error) => error.message));
  await turn();
  running[0]!.reject(new Error('EIO'));
  expect(await Promise.all(all)).toEqual(['EIO', 'EIO']);
  await expect(commits.commit()).rejects.toThrow('EIO');
  expect(running.length).toBe(1);
});
