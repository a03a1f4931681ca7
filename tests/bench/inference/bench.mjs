// Speed and memory of Hearth's engine beside a peer: the same model file, prompt and number of
// threads, taken in turns, so that what else the machine does falls on both. Figures are medians,
// ratios medians of each round's ratio.
//
//   node bench.mjs [--model FILE] [--rounds 7] [--threads N] [--tokens 64] [--json]
//
// HEARTH_SERVER names the program. Without --model the installed chat model is taken.
import { spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    rounds: { type: "string", default: "7" },
    threads: { type: "string", default: String(Math.min(availableParallelism(), 4)) },
    tokens: { type: "string", default: "64" },
    json: { type: "boolean", default: false },
  },
});
const hearth = process.env.HEARTH_SERVER;
if (!hearth) fail("HEARTH_SERVER does not name the program; run `cargo xtask bench`");
const model = values.model ?? installedModel();
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const same = [
  ["--model", model],
  ["--prompt", here("prompt.txt")],
  ["--tokens", values.tokens],
  ["--threads", values.threads],
  ["--context", "2048"],
].flat();
const subjects = {
  hearth: [hearth, "bench", "--json", ...same],
  peer: [process.execPath, here("peer.mjs"), ...same],
};

/** What is compared: a label, a field, and whether more is better. */
const FIGURES = [
  ["start to loaded, ms", "startMs", false],
  ["model load, ms", "loadMs", false],
  ["first text, cold, ms", "coldFirstTextMs", false],
  ["first text, keystrokes later, ms", "warmFirstTextMs", false],
  ["prompt, tokens/s", "promptTokensPerSecond", true],
  ["decode, tokens/s", "tokensPerSecond", true],
  ["peak memory, MB", "peakMemoryBytes", false],
];

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(1);
}

function installedModel() {
  const list = spawnSync(hearth, ["models", "list", "--installed", "--json"], { encoding: "utf8" });
  if (list.status !== 0) fail(`cannot list the models: ${list.stderr.trim()}`);
  const found = JSON.parse(list.stdout).find((model) => model.roles.includes("chat") && model.path);
  return found?.path ?? fail("no chat model is installed; run `hearth models pull default`");
}

/** Runs one subject once: its figures, with the time from its start to the loaded model. */
function measure([program, ...args]) {
  return new Promise((resolve) => {
    const began = performance.now();
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    let startMs;
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (startMs === undefined && output.includes("\n")) startMs = performance.now() - began;
    });
    child.on("error", (error) => fail(error.message));
    child.on("close", (code) => {
      if (code !== 0) fail(`${program} ended with ${code}`);
      resolve({ startMs, ...JSON.parse(output.slice(output.indexOf("\n"))) });
    });
  });
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

const runs = { hearth: [], peer: [] };
for (let round = 0; round < Number(values.rounds); round += 1) {
  // Whoever goes second finds the file in memory: both do, in turns.
  const order = Object.keys(subjects);
  if (round % 2 === 1) order.reverse();
  for (const name of order) runs[name].push(await measure(subjects[name]));
}

const rows = FIGURES.map(([label, field, more]) => {
  const [ours, theirs] = [runs.hearth, runs.peer].map((all) => all.map((run) => run[field]));
  const ratios = ours.map((value, round) => (more ? value / theirs[round] : theirs[round] / value));
  return { label, field, hearth: median(ours), peer: median(theirs), ratio: median(ratios) };
});
if (values.json) {
  console.log(JSON.stringify({ model, threads: Number(values.threads), runs, rows }, null, 2));
} else {
  const show = (value, field) => (field.endsWith("Bytes") ? value / 1e6 : value).toFixed(1);
  console.log(`${model}, ${values.threads} threads, medians of ${values.rounds} rounds`);
  console.log(`${"".padEnd(34)}${"hearth".padStart(10)}${"peer".padStart(10)}${"better by".padStart(12)}`);
  for (const { label, field, hearth, peer, ratio } of rows) {
    const numbers = [show(hearth, field), show(peer, field)].map((text) => text.padStart(10)).join("");
    console.log(`${label.padEnd(34)}${numbers}${`${ratio.toFixed(2)} x`.padStart(12)}`);
  }
}
