// Builds the page into dist/: the same source gives the same bytes. dist/ is committed, so that a user needs no Node.

import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import * as esbuild from "esbuild";

const OUT = "dist";

/** The packages whose code is in the bundle, by their folders' names below node_modules. */
function packagesIn(metafile) {
  const names = new Set();
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const found = bytesInOutput > 0 && /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
      if (found) names.add(found[1]);
    }
  }
  return [...names].sort();
}

/** The license a package comes with. */
async function license(name) {
  const about = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
  for (const file of ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "license", "COPYING"]) {
    try {
      return `${name} ${about.version} (${about.license})\n\n${(await readFile(`node_modules/${name}/${file}`, "utf8")).trim()}\n`;
    } catch {
      // It has another name, or there is none.
    }
  }
  return `${name} ${about.version} (${about.license})\n`;
}

await rm(OUT, { recursive: true, force: true });
await mkdir(OUT);
const { metafile } = await esbuild.build({
  entryPoints: { app: "src/main.tsx" },
  outdir: OUT,
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  chunkNames: "chunks/[name]-[hash]",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
  logLevel: "warning",
});
// The styles of views that are loaded later are in app.css as well.
for (const path of Object.keys(metafile.outputs)) if (/\/chunks\/.*\.css$/.test(path)) await rm(path);
await cp("static", OUT, { recursive: true });
await cp("src/index.html", `${OUT}/index.html`);
const rule = `\n${"-".repeat(80)}\n\n`;
const licenses = await Promise.all(packagesIn(metafile).map(license));
await writeFile(`${OUT}/licenses.txt`, `The page of Headrace contains:${rule}${licenses.join(rule)}`);

const digest = createHash("sha256").update(JSON.stringify(Object.keys(metafile.outputs).sort())).digest("hex").slice(0, 12);
const script = Object.entries(metafile.outputs).filter(([path]) => path.endsWith(".js"));
const kb = Math.round(script.reduce((sum, [, { bytes }]) => sum + bytes, 0) / 1000);
console.log(`built ${script.length} scripts, ${kb} kB before compression (${digest})`);
