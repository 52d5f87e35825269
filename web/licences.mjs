// The licence texts of every package with code in the bundle.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const LEGAL_FILE = /^(licen[cs]e|notice|thirdpartynotice)/i;
const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

export async function licences(metafiles, root) {
  const folders = new Set();
  for (const { outputs } of metafiles) {
    for (const { inputs } of Object.values(outputs)) {
      for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
        const folder = PACKAGE.exec(path)?.[1];
        if (folder && bytesInOutput > 0) folders.add(folder);
      }
    }
  }
  const notices = await Promise.all([...folders].map((folder) => notice(join(root, folder))));
  const intro = 'The GraphiQL page contains code of these packages.\n';
  return [intro, ...[...new Set(notices)].sort()].join(`\n${'-'.repeat(80)}\n`);
}

async function notice(folder) {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const { name, version, license, author, repository } = manifest;
  const files = (await readdir(folder)).filter((file) => LEGAL_FILE.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  const body = texts.map((text) => text.replaceAll('\r\n', '\n').trim()).join('\n\n');
  // A few packages name their licence without shipping its text.
  const origin = [author?.name ?? author, repository?.url ?? repository].filter(Boolean).join(', ');
  return `${name} ${version} (${license})\n\n${body || origin}\n`;
}
