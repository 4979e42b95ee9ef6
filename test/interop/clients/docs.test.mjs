// Runs the examples of docs/clients.md unchanged but for the service's address.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import babel from "@babel/core";
import { project } from "./project.mjs";

const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const guide = read("../../../docs/clients.md");
const { dependencies } = JSON.parse(read("package.json"));

/** example returns the shell lines of a client's section, and its files by name. */
function example(title) {
  const section = guide.split(`\n## ${title}\n`)[1]?.split(/\n##+ /)[0];
  assert.ok(section, `docs/clients.md has no section ${title}`);
  const blocks = [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text }));
  const lines = blocks.filter((b) => b.language === "sh").flatMap((b) => b.text.trim().split("\n"));
  const files = {};
  for (const { text } of blocks.filter((b) => b.language !== "sh")) {
    const name = text.match(/^\/\/ (\S+)\n/)?.[1];
    assert.ok(name, `no name of a file begins\n${text}`);
    files[name] = text.replaceAll("http://127.0.0.1:8080", process.env.SERVICE_URL);
  }
  assert.ok(Object.values(files).some((text) => text.includes(process.env.SERVICE_URL)), "the service's address is not in the example");
  return { lines, files };
}

/** start writes an example's files and runs its lines, except those that install packages. */
async function start({ lines, files }) {
  const app = project(files);
  for (const line of lines) {
    const packages = line.match(/^npm install (?:--save-dev )?(.*)$/)?.[1].split(" ");
    if (!packages) {
      await app.sh(line);
      continue;
    }
    for (const spec of packages) {
      const [, name, version = ""] = spec.match(/^(.+?)(?:@(\d+))?$/);
      assert.ok(dependencies[name]?.startsWith(version), `${spec} is not what package.json has`);
    }
  }
  return app;
}

/** failing changes an example to ask for a code that does not exist. */
const failing = (files) => Object.fromEntries(Object.entries(files).map(([name, text]) => [name, text.replace('id: "17"', 'id: "404"')]));

for (const title of ["Apollo Client", "urql", "graphql-request"]) {
  test(title, async () => {
    const { lines, files } = example(title);
    assert.equal(await (await start({ lines, files })).sh("node code.js"), "alice\n");
    assert.equal(await (await start({ lines, files: failing(files) })).sh("node code.js"), "NOT_FOUND\n");
  });
}

test("Apollo Client with persisted queries", async () => {
  const { lines, files } = example("Apollo Client");
  const code = files["code.js"].replace(/new HttpLink\(\{.*\}\)/, "persisted.concat($&)");
  assert.notEqual(code, files["code.js"]);
  files["code.js"] = `import { persisted } from "./persisted.js";\n${code}`;
  assert.equal(await (await start({ lines, files })).sh("node code.js"), "alice\n");
});

test("Relay", async () => {
  const { lines, files } = example("Relay");
  for (const [variant, want] of [[files, "alice\n"], [failing(files), "NOT_FOUND\n"]]) {
    const app = await start({ lines, files: variant });
    const { code } = babel.transformSync(variant["src/code.js"], { plugins: [["relay", { eagerEsModules: true }]] });
    // A bundler finds the file without its extension; node does not.
    app.write("src/code.js", code.replace('.graphql"', '.graphql.js"'));
    assert.equal(await app.sh("node src/code.js"), want);
  }
});

test("GraphQL Code Generator", async () => {
  const app = await start(example("GraphQL Code Generator"));
  await app.sh("npx tsc --strict --module nodenext --rootDir src --outDir dist src/code.ts");
  assert.equal(await app.sh("node dist/code.js"), "alice 2099-12-31T23:59:59Z\n");
});
