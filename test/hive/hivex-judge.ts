/** hivex reads hives: one Perl process for many files, a line for every key and value. */
import { createHash } from 'node:crypto';
import type { HiveKey } from '../../src/adapters/windows-registry/tree.ts';
import { runCommand } from '../servers/run-command.ts';

const SCRIPT = `
use strict; use warnings; use Win::Hivex; use Digest::MD5;
sub name { my ($s) = @_; utf8::encode($s) if utf8::is_utf8($s); return unpack('H*', $s) }
sub walk {
  my ($h, $node, $depth, $say) = @_;
  $say->("K $depth " . name($h->node_name($node)) . ' ' . $h->node_timestamp($node));
  for my $value ($h->node_values($node)) {
    my ($type, $data) = $h->value_value($value);
    $say->('V ' . name($h->value_key($value)) . " $type " . unpack('H*', $data));
  }
  walk($h, $_, $depth + 1, $say) for $h->node_children($node);
}
my $full = shift @ARGV;
for my $file (@ARGV) {
  my $md5 = Digest::MD5->new;
  my $say = $full ? sub { print "$_[0]\\n" } : sub { $md5->add("$_[0]\\n") };
  eval { my $h = Win::Hivex->open($file); walk($h, $h->root(), 0, $say); 1 } or do { print "ERROR $@"; next };
  print $md5->hexdigest, "\\n" unless $full;
}
`;

/** A digest of all that hivex reads of each file, or its error. */
export async function hivexDigests(files: readonly string[]): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runCommand('perl', ['-e', SCRIPT, '0', ...files]);
  const lines = stdout.trimEnd().split('\n');
  if (code !== 0 || lines.length !== files.length) throw new Error(`perl ended with ${code}: ${stderr}${stdout}`);
  return lines;
}

/** All that hivex reads of a file: to see where two readings part. */
export async function hivexLines(file: string): Promise<readonly string[]> {
  return (await runCommand('perl', ['-e', SCRIPT, '1', file])).stdout.trimEnd().split('\n');
}

/** The lines that hivex should have read of a tree. */
export function* linesOf(key: HiveKey, depth = 0): Generator<string> {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  yield `K ${depth} ${hex(Buffer.from(key.name))} ${key.timestamp}`;
  for (const { name, type, data } of key.values) yield `V ${hex(Buffer.from(name))} ${type} ${hex(data)}`;
  for (const child of key.subkeys) yield* linesOf(child, depth + 1);
}

export function digestOf(root: HiveKey): string {
  const md5 = createHash('md5');
  for (const line of linesOf(root)) md5.update(`${line}\n`);
  return md5.digest('hex');
}
