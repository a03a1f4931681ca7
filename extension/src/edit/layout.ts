import type { EditHunk } from "../protocol";

export type Decision = "pending" | "accepted" | "rejected";

export interface ReviewHunk {
  hunk: EditHunk;
  decision: Decision;
}

/** Lines of the review's text, zero-based and half-open. */
export interface Span {
  start: number;
  end: number;
}

export interface PlacedHunk {
  id: string;
  decision: Decision;
  /** Lines that go, lines that come. One of them may be empty; only a pending hunk shows both. */
  old: Span;
  new: Span;
}

export interface Layout {
  lines: string[];
  hunks: PlacedHunk[];
}

/** The document as it reads while its changes are reviewed: old lines of an undecided hunk stand above
 * the new ones, accepted hunks read as new, rejected ones as old. */
export function layOut(document: readonly string[], hunks: readonly ReviewHunk[]): Layout {
  const lines: string[] = [];
  const placed: PlacedHunk[] = [];
  let next = 0;
  const ordered = [...hunks].sort((a, b) => oldLines(a.hunk).start - oldLines(b.hunk).start);
  for (const { hunk, decision } of ordered) {
    const range = oldLines(hunk);
    const start = Math.min(range.start, document.length);
    if (start < next) continue;
    for (; next < start; next += 1) lines.push(document[next] ?? "");
    const end = Math.min(Math.max(range.end, start), document.length);
    const old = { start: lines.length, end: lines.length };
    if (decision !== "accepted") {
      for (let line = start; line < end; line += 1) lines.push(document[line] ?? "");
      old.end = lines.length;
    }
    const added = { start: lines.length, end: lines.length };
    if (decision !== "rejected") {
      lines.push(...newLines(hunk));
      added.end = lines.length;
    }
    next = end;
    placed.push({ id: hunk.id, decision, old, new: added });
  }
  for (; next < document.length; next += 1) lines.push(document[next] ?? "");
  return { lines, hunks: placed };
}

/** Whole lines that a hunk replaces: a range that ends at column 0 does not take that line. */
export function oldLines(hunk: EditHunk): Span {
  const { start, end } = hunk.range;
  if (start.line === end.line && start.character === end.character) {
    const at = start.line + (addsAfterLastLine(hunk) ? 1 : 0);
    return { start: at, end: at };
  }
  return { start: start.line, end: end.character === 0 ? end.line : end.line + 1 };
}

/** Lines added behind a last line without a line break come as text that begins with one. */
function addsAfterLastLine({ range, newText }: EditHunk): boolean {
  return range.start.character > 0 && /^\r?\n/.test(newText);
}

function newLines(hunk: EditHunk): string[] {
  return splitLines(addsAfterLastLine(hunk) ? hunk.newText.replace(/^\r?\n/, "") : hunk.newText);
}

export function splitLines(text: string): string[] {
  if (text === "") return [];
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** The undecided hunk at `line`, else the next one below, else the first. */
export function hunkAt(layout: Layout, line: number): PlacedHunk | undefined {
  const pending = layout.hunks.filter((hunk) => hunk.decision === "pending");
  return (
    pending.find((hunk) => line >= hunk.old.start && line < Math.max(hunk.new.end, hunk.old.start + 1)) ??
    pending.find((hunk) => hunk.old.start >= line) ??
    pending[0]
  );
}

/** The undecided hunk after or before `line`, going round at the ends. */
export function neighbour(layout: Layout, line: number, step: 1 | -1): PlacedHunk | undefined {
  const pending = layout.hunks.filter((hunk) => hunk.decision === "pending");
  if (step === 1) return pending.find((hunk) => hunk.old.start > line) ?? pending[0];
  return pending.findLast((hunk) => hunk.old.start < line) ?? pending.at(-1);
}
