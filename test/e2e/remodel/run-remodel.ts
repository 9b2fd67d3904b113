/** `godwit remodel …` in this process: the same functions that `main.ts` calls. */
import { runProgram } from '../../../src/cli/program.ts';
import * as engine from '../../../src/routes/remodel/engine/index.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Never throws: what went wrong is in the code and the texts. */
export async function runRemodel(words: readonly string[], env: Environment, signal?: AbortSignal): Promise<Said> {
  let [out, err] = ['', ''];
  const code = await runProgram(['remodel', ...words], {
    io: {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      env,
      isTerminal: false,
      isErrTerminal: false,
      size: () => ({ columns: 120, rows: 50 }),
    },
    signal: signal ?? new AbortController().signal,
    version: 'test',
    loadRemodel: async () => engine,
    loadMigrate: otherRoute,
    loadRelocate: otherRoute,
    loadProtect: otherRoute,
    loadAdapt: otherRoute,
    loadRegistry: otherRoute,
    loadRehearse: otherRoute,
  });
  return { code, out, err };
}

function otherRoute(): Promise<never> {
  return Promise.reject(new Error('another route'));
}
