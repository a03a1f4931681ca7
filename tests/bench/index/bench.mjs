// The index on two corpora of pinned crates: how fast it is made beside universal-ctags, how soon a search
// answers, how soon an unchanged workspace is open again beside `rg --files`, how soon a save is found, and what
// a search takes while all is indexed anew. What is compared runs in turns; figures are medians, with
// 95th percentiles where said.
//
//   node bench.mjs [--work FOLDER] [--lines 1000000] [--files 50000] [--rounds 3] [--json]
//
// HEARTH_SERVER names the program, HEARTH_BENCH where the corpora (600 MB) are kept; ctags and rg are taken from PATH.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fillCorpus } from "./corpus.mjs";
import { Daemon } from "./daemon.mjs";

const { values } = parseArgs({
  options: {
    work: { type: "string", default: process.env.HEARTH_BENCH ?? join(tmpdir(), "hearth-bench") },
    lines: { type: "string", default: "1000000" },
    files: { type: "string", default: "50000" },
    rounds: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});
const hearth = process.env.HEARTH_SERVER;
if (!hearth) fail("HEARTH_SERVER does not name the program; run `cargo xtask bench index`");
const rounds = Number(values.rounds);
const root = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const lock = root("Cargo.lock");
const questions = [...readFileSync(root("tests/eval/retrieval/development.toml"), "utf8").matchAll(/ask = "(.+?)"/g)];
if (questions.length === 0) fail("tests/eval/retrieval/development.toml holds no questions");

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(1);
}

function say(message) {
  console.error(message);
}

function quantile(numbers, share) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

const median = (numbers) => quantile(numbers, 0.5);

/** Seconds that a program takes; its output is dropped. */
function seconds(program, args, env) {
  const began = performance.now();
  const { status, error } = spawnSync(program, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  if (error || status !== 0) fail(`${program} ${args.join(" ")}: ${error?.message ?? `exit ${status}`}`);
  return (performance.now() - began) / 1000;
}

/** Only the index is here: no model, and nothing of the person's. */
function environment(data) {
  const env = { ...process.env };
  for (const name of ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"]) {
    env[name] = join(data, name.toLowerCase());
    mkdirSync(env[name], { recursive: true });
  }
  return env;
}

/** Seconds from the start of the daemon until its index holds every file, and the daemon. */
async function open(folder, env) {
  const began = performance.now();
  const daemon = new Daemon(hearth, folder, env);
  await daemon.start();
  const index = await daemon.ready();
  return { daemon, index, seconds: (performance.now() - began) / 1000 };
}

async function milliseconds(work) {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

const figures = {};
mkdirSync(values.work, { recursive: true });
const data = join(values.work, "data");
rmSync(data, { recursive: true, force: true });

say("filling the corpora");
const large = join(values.work, `lines-${values.lines}`);
const size = fillCorpus(large, lock, ({ lines }) => lines >= Number(values.lines));
const many = join(values.work, `files-${values.files}`);
const manySize = fillCorpus(many, lock, ({ files }) => files >= Number(values.files));

say(`cold index of ${size.lines} lines, ${(size.bytes / 1e6).toFixed(0)} MB`);
const cold = { hearth: [], ctags: [] };
const ctags = ["-R", "--languages=all", "--fields=+neKSs", "--extras=+q", "-f", join(values.work, "tags"), large];
for (let round = 0; round < rounds; round += 1) {
  const own = join(data, `cold-${round}`);
  const runs = [
    () => cold.hearth.push(seconds(hearth, ["index", "--workspace", large, "--json"], environment(own))),
    () => cold.ctags.push(seconds("ctags", ctags, process.env)),
  ];
  for (const run of round % 2 ? runs.reverse() : runs) run();
  rmSync(own, { recursive: true, force: true });
}
figures.coldIndex = {
  megabytesPerSecond: size.bytes / 1e6 / median(cold.hearth),
  ctagsMegabytesPerSecond: size.bytes / 1e6 / median(cold.ctags),
  timesCtags: median(cold.ctags.map((theirs, round) => theirs / cold.hearth[round])),
};

say("opening it in an editor for the first time");
{
  const env = environment(join(data, "large"));
  const { daemon, index, seconds: first } = await open(large, env);
  const ask = (query, mode) => daemon.request("hearth/search", { query, mode, limit: 10 });
  const semantic = await milliseconds(() => ask(questions[0][1], "semantic"));
  figures.firstOpen = { files: index.files, chunks: index.chunks, seconds: first + semantic / 1000 };
  const times = [];
  for (const [, question] of questions) times.push(await milliseconds(() => ask(question, "hybrid")));
  figures.query = { p50Ms: median(times), p95Ms: quantile(times, 0.95) };

  say("saving and finding");
  const saved = { symbol: [], text: [] };
  const found = async (query, mode) => (await ask(query, mode)).results.some(({ text }) => text.includes(query));
  for (let save = 0; save < 200; save += 1) {
    const name = `saved_${save}_otter`;
    const word = `badger${save}lives`;
    const path = join(large, `saved_${save % 7}.rs`);
    writeFileSync(path, `/// ${word}\npub fn ${name}() {}\n`);
    const began = performance.now();
    daemon.notify("workspace/didChangeWatchedFiles", { changes: [{ uri: daemon.uri(`saved_${save % 7}.rs`), type: 2 }] });
    while (!(await found(name, "symbol")));
    saved.symbol.push(performance.now() - began);
    while (!(await found(word, "lexical")));
    saved.text.push(performance.now() - began);
  }
  for (let file = 0; file < 7; file += 1) unlinkSync(join(large, `saved_${file}.rs`));
  figures.saveToFound = { p50Ms: median(saved.text), p95Ms: quantile(saved.text, 0.95), symbolP95Ms: quantile(saved.symbol, 0.95) };

  say("searching while all is indexed anew");
  await daemon.request("hearth/index", { action: "rebuild" });
  const busy = [];
  for (let turn = 0; ; turn += 1) {
    busy.push(await milliseconds(() => ask(questions[turn % questions.length][1], "hybrid")));
    const { index } = await daemon.request("hearth/status", {});
    if (index.state === "ready" && turn > 20) break;
  }
  figures.queryWhileIndexing = { queries: busy.length, p50Ms: median(busy), p95Ms: quantile(busy, 0.95) };
  figures.peakMemoryMegabytes = daemon.peakMemory() / 1e6;
  await daemon.stop();
}

say(`opening ${manySize.files} unchanged files again`);
{
  const env = environment(join(data, "many"));
  const { daemon } = await open(many, env);
  await daemon.stop();
  const again = { hearth: [], rg: [], search: [] };
  for (let round = 0; round < 2 * rounds; round += 1) {
    again.rg.push(seconds("rg", ["--files", many], process.env));
    const { daemon, seconds: took } = await open(many, env);
    again.hearth.push(took);
    const query = questions[round % questions.length][1];
    again.search.push(took + (await milliseconds(() => daemon.request("hearth/search", { query, mode: "hybrid", limit: 10 }))) / 1000);
    await daemon.stop();
  }
  figures.reopen = {
    seconds: median(again.hearth),
    rgSeconds: median(again.rg),
    toFirstSearchSeconds: median(again.search),
    timesRg: median(again.hearth.map((ours, round) => ours / again.rg[round])),
  };
}
rmSync(data, { recursive: true, force: true });

const report = { machine: `${cpus()[0].model}, ${cpus().length} cores`, corpus: size, many: manySize, rounds, figures };
if (values.json) console.log(JSON.stringify(report, null, 2));
else {
  console.log(`${report.machine}; ${size.files} files, ${size.lines} lines, ${(size.bytes / 1e6).toFixed(1)} MB`);
  for (const [name, row] of Object.entries(figures)) {
    const columns = typeof row === "number" ? [["", row]] : Object.entries(row);
    for (const [column, value] of columns) {
      console.log(`${`${name} ${column}`.padEnd(44)}${value.toFixed(value < 10 ? 2 : 0).padStart(12)}`);
    }
  }
}
