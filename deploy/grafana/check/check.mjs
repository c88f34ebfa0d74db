// Checks the dashboards of a folder, by Grafana's published types and LogQL's grammar. Ends with 1 if one is wrong.
//
//   node check.mjs FOLDER      where npm has installed what package.json names
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parser } from '@grafana/lezer-logql';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = process.argv[2];
const dashboards = readdirSync(folder).filter((name) => name.endsWith('.json'));
const problems = [];

// A file that is typed is one that the compiler compares.
const typed = `${here}typed`;
rmSync(typed, { recursive: true, force: true });
mkdirSync(typed, { recursive: true });
for (const name of dashboards) {
  const text = readFileSync(`${folder}/${name}`, 'utf8');
  writeFileSync(`${typed}/${name.replace('.json', '.ts')}`, `import type { Dashboard } from '../dashboard';\nexport const dashboard: Dashboard = ${text};\n`);
}
const files = dashboards.map((name) => `${typed}/${name.replace('.json', '.ts')}`);
try {
  execFileSync(`${here}node_modules/.bin/tsc`, ['--noEmit', '--strict', '--skipLibCheck', '--module', 'esnext', '--moduleResolution', 'bundler', ...files], { encoding: 'utf8' });
} catch (error) {
  problems.push(error.stdout);
}

let queries = 0;
for (const name of dashboards) {
  const panels = JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')).panels;
  for (const panel of panels.filter((panel) => panel.datasource?.type === 'loki')) {
    for (const { expr } of panel.targets) {
      queries += 1;
      parser.parse(expr).iterate({
        enter: (node) => {
          if (node.type.isError) problems.push(`${name}: ${panel.title}: no LogQL at ${node.from}: ${expr}`);
        },
      });
    }
  }
}
if (queries === 0) problems.push('there is no log query');
for (const problem of problems) console.error(problem);
console.log(`${dashboards.length} dashboards, ${queries} log queries: ${problems.length === 0 ? 'as they should be' : `${problems.length} wrong`}`);
process.exitCode = problems.length === 0 ? 0 : 1;
