import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HistorySearch } from "../src/chat/history";
import type { ConversationSummary } from "../src/protocol";

const summary = (id: string): ConversationSummary => ({ id, title: id, updatedAt: 0 });

describe("HistorySearch", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("asks once for a word that is typed and shows what was found", async () => {
    const asked: (string | undefined)[] = [];
    const shown: string[][] = [];
    const search = new HistorySearch(
      async (query) => {
        asked.push(query);
        return [summary(query ?? "all")];
      },
      (found) => shown.push(found.map((entry) => entry.id)),
    );
    for (const value of ["p", "pa", " parcel "]) search.type(value);
    await vi.advanceTimersByTimeAsync(200);
    search.type("");
    await vi.advanceTimersByTimeAsync(200);
    expect(asked).toEqual(["parcel", undefined]);
    expect(shown).toEqual([["parcel"], ["all"]]);
  });

  it("drops an answer that comes late, one that failed, and all after it was stopped", async () => {
    const answers: Record<string, (found: ConversationSummary[]) => void> = {};
    const shown: string[] = [];
    const search = new HistorySearch(
      (query) =>
        query === "bad"
          ? Promise.reject(new Error("busy"))
          : new Promise((resolve) => {
              answers[query ?? ""] = resolve;
            }),
      (_, query) => shown.push(query ?? ""),
    );
    for (const value of ["one", "two", "bad", "three"]) {
      search.type(value);
      await vi.advanceTimersByTimeAsync(200);
    }
    answers.two?.([]);
    answers.three?.([]);
    answers.one?.([]);
    await vi.advanceTimersByTimeAsync(0);
    expect(shown).toEqual(["three"]);
    search.type("four");
    search.stop();
    await vi.advanceTimersByTimeAsync(200);
    expect(answers.four).toBeUndefined();
  });
});
