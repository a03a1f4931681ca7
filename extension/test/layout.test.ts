import { describe, expect, it } from "vitest";
import { type Decision, hunkAt, layOut, neighbour } from "../src/edit/layout";
import type { EditHunk } from "../src/protocol";

const document = ["a", "b", "c", "d"];

function hunk(id: string, start: [number, number], end: [number, number], newText: string): EditHunk {
  return {
    id,
    range: { start: { line: start[0], character: start[1] }, end: { line: end[0], character: end[1] } },
    oldText: "",
    newText,
  };
}

/** Lays out with all hunks in one state and marks what goes with `-` and what comes with `+`. */
function check(hunks: EditHunk[], decision: Decision = "pending"): string[] {
  const layout = layOut(
    document,
    hunks.map((entry) => ({ hunk: entry, decision })),
  );
  return layout.lines.map((line, index) => {
    const within = (name: "old" | "new") =>
      layout.hunks.some((placed) => index >= placed[name].start && index < placed[name].end);
    return `${within("old") ? "-" : within("new") ? "+" : " "}${line}`;
  });
}

describe("layOut", () => {
  it("shows old lines above new ones", () => {
    expect(check([hunk("1", [1, 0], [2, 0], "B\nB2\n")])).toEqual([" a", "-b", "+B", "+B2", " c", " d"]);
  });

  it("takes a range that ends within a line as taking that line", () => {
    expect(check([hunk("1", [1, 0], [1, 1], "B")])).toEqual([" a", "-b", "+B", " c", " d"]);
  });

  it("shows an insertion before the line where its range is empty", () => {
    expect(check([hunk("1", [0, 0], [0, 0], "new\n")])).toEqual(["+new", " a", " b", " c", " d"]);
  });

  it("shows lines added behind a last line that has no line break", () => {
    expect(check([hunk("1", [3, 1], [3, 1], "\ne")])).toEqual([" a", " b", " c", " d", "+e"]);
  });

  it("shows a removal", () => {
    expect(check([hunk("1", [1, 0], [3, 0], "")])).toEqual([" a", "-b", "-c", " d"]);
  });

  it("reads as new when accepted and as old when rejected", () => {
    const one = hunk("1", [1, 0], [2, 0], "B\r\nB2\r\n");
    expect(check([one], "accepted")).toEqual([" a", "+B", "+B2", " c", " d"]);
    expect(check([one], "rejected")).toEqual([" a", "-b", " c", " d"]);
  });

  it("orders hunks and leaves out one that overlaps an earlier one", () => {
    const layout = [
      hunk("2", [2, 0], [3, 0], "C\n"),
      hunk("1", [0, 0], [1, 0], "A\n"),
      hunk("x", [0, 0], [2, 0], "?\n"),
    ];
    expect(check(layout)).toEqual(["-a", "+A", " b", "-c", "+C", " d"]);
  });

  it("clamps a range past the end", () => {
    expect(check([hunk("1", [3, 0], [9, 0], "D\n")])).toEqual([" a", " b", " c", "-d", "+D"]);
  });
});

describe("moving between hunks", () => {
  const layout = layOut(document, [
    { hunk: hunk("1", [0, 0], [1, 0], "A\n"), decision: "pending" },
    { hunk: hunk("2", [1, 0], [2, 0], "B\n"), decision: "accepted" },
    { hunk: hunk("3", [3, 0], [4, 0], "D\n"), decision: "pending" },
  ]);

  it("finds the hunk under the cursor, else the next", () => {
    expect([0, 1, 2, 4, 9].map((line) => hunkAt(layout, line)?.id)).toEqual(["1", "1", "3", "3", "1"]);
  });

  it("goes round at the ends and skips what is decided", () => {
    expect(neighbour(layout, 0, 1)?.id).toBe("3");
    expect(neighbour(layout, 4, 1)?.id).toBe("1");
    expect(neighbour(layout, 0, -1)?.id).toBe("3");
  });
});
