import { describe, expect, it } from "vitest";
import { Backoff } from "../src/backoff";
import type { DaemonStatus } from "../src/protocol";
import { indexPercent, type StatusInput, shortName, statusText } from "../src/statusText";

const idle: DaemonStatus = {
  version: "1",
  index: { state: "ready", files: 10, chunks: 99, pending: 0 },
  models: [{ id: "small-model-q8_0", role: "chat", state: "ready" }],
  network: "offline",
};

function check(input: Partial<StatusInput>): string {
  return statusText({ state: { kind: "running" }, status: idle, trusted: true, working: undefined, ...input })
    .text;
}

describe("statusText", () => {
  it("names the model when idle", () => {
    expect(check({})).toBe("$(flame) small-model");
  });

  it("says what is being done for the person first", () => {
    const scanning = { ...idle, index: { ...idle.index, state: "scanning", pending: 5, total: 20 } };
    expect(check({ status: scanning })).toBe("$(loading~spin) small-model: indexing 75 %");
    expect(check({ status: scanning, working: "thinking" })).toBe("$(loading~spin) small-model: thinking");
  });

  it("shows restricted mode, a paused index and a missing model", () => {
    expect(check({ trusted: false })).toBe("$(shield) small-model (restricted)");
    expect(check({ status: { ...idle, index: { ...idle.index, state: "paused" } } })).toBe(
      "$(debug-pause) small-model: index paused",
    );
    expect(check({ status: { ...idle, models: [{ id: "x", role: "chat", state: "missing" }] } })).toBe(
      "$(flame) no model",
    );
  });

  it("shows failures and restarts", () => {
    expect(check({ state: { kind: "failed", reason: "no memory" } })).toBe("$(error) Hearth: stopped");
    expect(check({ state: { kind: "restarting", delayMs: 500 } })).toBe("$(sync~spin) Hearth: restarting");
    const failed = { ...idle, models: [{ id: "x", role: "chat", state: "failed" }] };
    expect(check({ status: failed })).toBe("$(warning) Hearth: chat model failed");
  });

  it("names files that could not be parsed", () => {
    const lines = (count: number) => {
      const plain = Array.from({ length: count }, (_, at) => ({ path: `${at}.rs`, reason: "too slow" }));
      const status = { ...idle, index: { ...idle.index, plain } };
      return statusText({ state: { kind: "running" }, status, trusted: true, working: undefined }).lines;
    };
    expect(lines(2)).toContain("as plain text: 1.rs – too slow");
    expect(lines(3).filter((line) => line.includes("plain text"))).toHaveLength(3);
    expect(lines(4).filter((line) => line.includes(".rs"))).toHaveLength(3);
    expect(lines(4).join()).toContain("`hearth index`");
  });

  it("names folders of documentation that cannot be searched", () => {
    const docs = [
      { folder: "~/book", detail: null },
      { folder: "~/gone", detail: "cannot open it" },
    ];
    const status = { ...idle, docs };
    const { lines } = statusText({ state: { kind: "running" }, status, trusted: true, working: undefined });
    expect(lines.filter((line) => line.startsWith("docs:"))).toEqual(["docs: ~/gone – cannot open it"]);
  });

  it("knows the percentage only when there is something to index", () => {
    expect(
      indexPercent({ ...idle, index: { state: "scanning", files: 0, chunks: 0, pending: 0 } }),
    ).toBeUndefined();
    expect(indexPercent({ ...idle, index: { state: "scanning", files: 3, chunks: 0, pending: 1 } })).toBe(75);
  });

  it("shortens a model's name", () => {
    expect(shortName("Qwen2.5-Coder-7B-Instruct-Q4_K_M.gguf")).toBe("Qwen2.5-Coder-7B-Instruct");
    expect(shortName("x".repeat(40))).toHaveLength(28);
  });
});

describe("Backoff", () => {
  it("doubles the wait and gives up after too many deaths", () => {
    const backoff = new Backoff(4);
    expect([0, 1, 2, 3, 4].map((now) => backoff.next(now))).toEqual([500, 1000, 2000, 4000, undefined]);
  });

  it("forgives deaths long ago and after a restart by hand", () => {
    const backoff = new Backoff(2, 1000);
    backoff.next(0);
    expect(backoff.next(5000)).toBe(500);
    backoff.reset();
    expect(backoff.next(5001)).toBe(500);
  });
});
