// Builds the page into the Python package: src/shoal/dashboard/static. `--check` writes nothing and
// fails where what is there is not what would be built; `--tests` builds the tests into build/.
import { build } from "esbuild";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../src/shoal/dashboard/static");

const common = {
  bundle: true,
  format: "iife",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  absWorkingDir: here,
};

if (process.argv.includes("--tests")) {
  const tests = readdirSync(join(here, "tests")).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...common,
    entryPoints: tests.map((name) => join(here, "tests", name)),
    outdir: join(here, "build"),
    format: "esm",
    platform: "node",
    minify: false,
    outExtension: { ".js": ".mjs" },
  });
} else {
  const made = await build({
    ...common,
    entryPoints: { dashboard: join(here, "src/main.ts"), "dashboard-style": join(here, "src/style.css") },
    outdir: target,
    write: !process.argv.includes("--check"),
    metafile: true,
  });
  if (process.argv.includes("--check")) {
    const stale = made.outputFiles.filter(
      (file) => readFileSync(file.path, "utf8") !== file.text,
    );
    for (const file of stale) console.error(`${file.path} is not what its sources build`);
    process.exit(stale.length ? 1 : 0);
  }
  for (const [name, { bytes }] of Object.entries(made.metafile.outputs)) {
    console.log(`${name}: ${bytes} bytes`);
  }
}
