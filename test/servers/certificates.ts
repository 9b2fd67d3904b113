import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './run-command.ts';

export interface Certificates {
  readonly caFile: string;
  /** Key and certificate of the server; without other names, for localhost and 127.0.0.1. */
  readonly serverCertKeyFile: string;
  /** Key and certificate of a client. */
  readonly clientCertKeyFile: string;
  /** The client's subject in RFC 2253 form: the name of its user in `$external`. */
  readonly clientSubject: string;
}

const LOCAL = 'DNS:localhost,IP:127.0.0.1';
const CLIENT_EXTENSIONS = 'extendedKeyUsage=clientAuth\n';

/** A throw-away CA and what it signed. Members of a replica set are clients too, hence their two usages. */
export async function createCertificates(dir: string, names = LOCAL): Promise<Certificates> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const caFile = join(dir, 'ca.pem');
  const caKey = join(dir, 'ca.key');
  await writeFile(
    join(dir, 'ca.cnf'),
    '[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n',
  );
  await openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', caKey]);
  await openssl([
    'req',
    '-x509',
    '-new',
    '-key',
    caKey,
    '-days',
    '30',
    '-subj',
    '/O=Godwit test CA/CN=ca',
    '-config',
    join(dir, 'ca.cnf'),
    '-out',
    caFile,
  ]);

  const sign = async (name: string, subject: string, extensions: string): Promise<string> => {
    const path = (suffix: string): string => join(dir, `${name}.${suffix}`);
    await writeFile(path('ext'), extensions);
    await openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path('key')]);
    await openssl([
      'req',
      '-new',
      '-key',
      path('key'),
      '-subj',
      subject,
      '-config',
      join(dir, 'ca.cnf'),
      '-out',
      path('csr'),
    ]);
    await openssl([
      'x509',
      '-req',
      '-in',
      path('csr'),
      '-CA',
      caFile,
      '-CAkey',
      caKey,
      '-CAcreateserial',
      '-days',
      '30',
      '-extfile',
      path('ext'),
      '-out',
      path('crt'),
    ]);
    const both = Buffer.concat([await readFile(path('key')), await readFile(path('crt'))]);
    await writeFile(path('pem'), both, { mode: 0o600 });
    return path('pem');
  };
  // Different organisations: a client that looks like a member would be taken for one.
  const serverCertKeyFile = await sign(
    'server',
    '/O=Godwit test servers/CN=localhost',
    `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`,
  );
  const clientCertKeyFile = await sign('client', '/O=Godwit test clients/CN=godwit', CLIENT_EXTENSIONS);
  const subject = await openssl(['x509', '-in', clientCertKeyFile, '-noout', '-subject', '-nameopt', 'RFC2253']);
  return { caFile, serverCertKeyFile, clientCertKeyFile, clientSubject: subject.trim().replace(/^subject=\s*/, '') };
}

async function openssl(args: readonly string[]): Promise<string> {
  const result = await runCommand('openssl', args);
  if (result.code !== 0) throw new Error(`openssl ${args[0]} failed (is openssl installed?): ${result.stderr.trim()}`);
  return result.stdout;
}
