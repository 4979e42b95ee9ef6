#!/bin/sh
# Fills vendor/ from npm: GraphiQL and React as published, unmodified, with their licences.
#
# package.json pins the versions and package-lock.json the hash of every package; `npm ci`
# refuses anything else. The same lock gives the same files, so a second run changes nothing.
# The devDependencies are there for their licences alone: GraphiQL's bundle holds them, but
# does not depend on them any more, and its style sheet holds the two fonts.
# To move to other versions, edit package.json, run `npm install --package-lock-only` with
# `--omit-lockfile-registry-resolved` in this directory, then this script.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here/package.json" "$here/package-lock.json" "$work/"
cd "$work"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

new="$work/vendor"
mkdir "$new"
cp node_modules/react/umd/react.production.min.js \
	node_modules/react-dom/umd/react-dom.production.min.js \
	node_modules/graphiql/graphiql.min.js \
	node_modules/graphiql/graphiql.min.css "$new/"
for package in react react-dom graphiql; do
	cp "node_modules/$package/LICENSE" "$new/$package.LICENSE.txt"
done

# What remains: the versions with npm's hashes, and the licences of the packages that GraphiQL's
# bundle holds, which its source map names. Files of its own repository appear there by folder.
cat >collect.cjs <<'JS'
const fs = require('fs');
const path = require('path');
const [out] = process.argv.slice(2);

const lock = JSON.parse(fs.readFileSync('package-lock.json'));
const versions = Object.keys(lock.packages[''].dependencies).sort().map((name) => {
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  if (!/^sha512-/.test(integrity)) throw new Error(`${name}: no sha512 in package-lock.json`);
  return `${name} ${version} ${integrity}\n`;
});
fs.writeFileSync(path.join(out, 'VERSIONS'), versions.join(''));

const siblings = {
  'graphiql-plugin-doc-explorer': '@graphiql/plugin-doc-explorer',
  'graphiql-plugin-history': '@graphiql/plugin-history',
  'graphiql-react': '@graphiql/react',
  'graphiql-toolkit': '@graphiql/toolkit',
};
const bundled = new Set();
for (const source of JSON.parse(fs.readFileSync('node_modules/graphiql/graphiql.min.js.map')).sources) {
  const installed = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source);
  const sibling = /^\.\.\/\.\.\/([^/]+)\//.exec(source);
  if (installed) bundled.add(installed[1]);
  else if (sibling) bundled.add(siblings[sibling[1]] ?? sibling[1]);
}

for (const font of ['@fontsource/fira-code', '@fontsource/roboto']) bundled.add(font);

const byText = new Map();
for (const name of [...bundled].sort()) {
  const folder = path.join('node_modules', name);
  const file = fs.readdirSync(folder).sort().find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const declared = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'))).license;
  const text = file
    ? fs.readFileSync(path.join(folder, file), 'utf8').replace(/\r\n/g, '\n').trim()
    : `Published under the licence ${declared}, without its text.`;
  byText.set(text, [...(byText.get(text) ?? []), `${name} (${declared})`]);
}
const sections = [...byText].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`);
fs.writeFileSync(
  path.join(out, 'graphiql.bundled.LICENSE.txt'),
  ['Packages within graphiql.min.js, fonts within graphiql.min.css, and their licences.\n', ...sections].join(`\n${'-'.repeat(72)}\n\n`),
);
JS
node collect.cjs "$new"

rm -rf "$here/vendor"
cp -R "$new" "$here/vendor"
