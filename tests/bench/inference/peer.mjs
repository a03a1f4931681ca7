// llama.cpp through its Node binding, measured as `hearth bench` measures itself: the same prompt,
// greedy, in one context. Prints `{"loaded":true}` and then one line with the figures.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    prompt: { type: "string" },
    tokens: { type: "string" },
    threads: { type: "string" },
    context: { type: "string" },
  },
});
const threads = Number(values.threads);
const wanted = Number(values.tokens);

const began = performance.now();
const llama = await getLlama({
  gpu: false,
  build: "never",
  skipDownload: true,
  maxThreads: threads,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: values.model });
const context = await model.createContext({ contextSize: Number(values.context), threads });
const loadMs = performance.now() - began;
console.log(JSON.stringify({ loaded: true }));

const sequence = context.getSequence();
const prompt = model.tokenize(readFileSync(values.prompt, "utf8"));

/** Times to the first and the last of `count` tokens. */
async function generate(tokens, count) {
  const start = performance.now();
  let first;
  let generated = 0;
  for await (const _ of sequence.evaluate(tokens, { temperature: 0 })) {
    generated += 1;
    first ??= performance.now() - start;
    if (generated === count) break;
  }
  return { first, generated, total: performance.now() - start };
}

const cold = await generate(prompt, wanted);
const longer = model.tokenize(`${readFileSync(values.prompt, "utf8")} = new`);
const warmStart = performance.now();
await sequence.adaptStateToTokens(longer, false);
const rest = longer.slice(sequence.nextTokenIndex);
const adapting = performance.now() - warmStart;
const warm = await generate(rest.length > 0 ? rest : longer.slice(-1), 1);

console.log(
  JSON.stringify({
    loadMs,
    promptTokens: prompt.length,
    coldFirstTextMs: cold.first,
    warmFirstTextMs: adapting + warm.first,
    promptTokensPerSecond: (prompt.length * 1000) / cold.first,
    generatedTokens: cold.generated,
    tokensPerSecond: ((cold.generated - 1) * 1000) / (cold.total - cold.first),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  }),
);
process.exit(0);
