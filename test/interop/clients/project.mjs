// A folder with an application, which has the packages of this folder installed.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** project writes files, by name, to a new folder, which is removed when the process ends. */
export function project(files) {
  const dir = mkdtempSync(join(tmpdir(), "clients-"));
  process.on("exit", () => rmSync(dir, { recursive: true }));
  symlinkSync(join(dirname(fileURLToPath(import.meta.url)), "node_modules"), join(dir, "node_modules"));
  const write = (name, text) => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  };
  for (const [name, text] of Object.entries({ "package.json": '{"type":"module"}', ...files })) write(name, text);
  return {
    dir,
    write,
    /** sh runs a shell line in the folder and returns its output. */
    async sh(line) {
      try {
        return (await run("sh", ["-ec", line], { cwd: dir })).stdout;
      } catch (error) {
        throw new Error(`${line}\n${error.stdout}${error.stderr}`);
      }
    },
  };
}
