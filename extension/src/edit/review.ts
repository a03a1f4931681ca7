import type * as vscode from "vscode";
import type { EditHunk } from "../protocol";
import {
  type Decision,
  hunkAt,
  type Layout,
  layOut,
  neighbour,
  type PlacedHunk,
  type ReviewHunk,
  splitLines,
} from "./layout";

export const reviewScheme = "hearth-review";

/** Where the changes of a review come from and where the accepted ones go. */
export interface ReviewSource {
  /** What the person asked for, for the heading. */
  title: string;
  /** The edit for the hunks that were accepted, against the document as it is now. */
  resolve(accepted: string[], version: number): Promise<vscode.WorkspaceEdit>;
  followUp?(): Promise<void>;
  stop?(): void;
}

export type ReviewPhase = "streaming" | "ready";

/** One proposal under review: a read-only copy of the document that shows it as a diff in the document's
 * place. The document itself is not touched before the last hunk has been decided. */
export class Review {
  readonly uri: vscode.Uri;
  phase: ReviewPhase = "streaming";
  findings: string[] = [];
  private hunks: ReviewHunk[] = [];
  private readonly base: string[];
  layout: Layout;

  constructor(
    readonly document: vscode.TextDocument,
    readonly selection: vscode.Range,
    public source: ReviewSource,
    readonly column: vscode.ViewColumn | undefined,
    serial: number,
  ) {
    // The same path, so that the tab's name and the colours are the document's.
    this.uri = document.uri.with({
      scheme: reviewScheme,
      authority: "",
      query: String(serial),
      fragment: "",
    });
    this.base = document.getText().split(/\r?\n/);
    this.layout = layOut(this.base, []);
  }

  get text(): string {
    return this.layout.lines.join("\n");
  }

  get pending(): PlacedHunk[] {
    return this.layout.hunks.filter((hunk) => hunk.decision === "pending");
  }

  get accepted(): string[] {
    return this.hunks.filter((entry) => entry.decision === "accepted").map((entry) => entry.hunk.id);
  }

  get size(): number {
    return this.hunks.length;
  }

  /** A hunk while it streams: one that was seen before is replaced. */
  show(hunk: EditHunk): void {
    const known = this.hunks.find((entry) => entry.hunk.id === hunk.id);
    if (known) known.hunk = hunk;
    else this.hunks.push({ hunk, decision: "pending" });
    this.relayout();
  }

  /** The final hunks; decisions made while they streamed are kept. */
  settle(hunks: EditHunk[]): void {
    const decisions = new Map(this.hunks.map((entry) => [entry.hunk.id, entry.decision]));
    this.hunks = hunks.map((hunk) => ({ hunk, decision: decisions.get(hunk.id) ?? "pending" }));
    this.phase = "ready";
    this.relayout();
  }

  /** Back to nothing, for a follow-up instruction. */
  restart(source: ReviewSource): void {
    this.source = source;
    this.hunks = [];
    this.phase = "streaming";
    this.findings = [];
    this.relayout();
  }

  decide(id: string, decision: Decision): void {
    const entry = this.hunks.find((candidate) => candidate.hunk.id === id);
    if (entry) entry.decision = decision;
    this.relayout();
  }

  decideAll(decision: Decision): void {
    for (const entry of this.hunks) if (entry.decision === "pending") entry.decision = decision;
    this.relayout();
  }

  hunkAt(line: number): PlacedHunk | undefined {
    return hunkAt(this.layout, line);
  }

  neighbour(line: number, step: 1 | -1): PlacedHunk | undefined {
    return neighbour(this.layout, line, step);
  }

  private relayout(): void {
    this.layout = layOut(this.base, this.hunks);
  }
}

/** A review of text that no daemon proposed: a code block from the chat put in place of `range`. */
export function localHunk(document: vscode.TextDocument, range: vscode.Range, text: string): EditHunk {
  const oldText = document.getText(range);
  const isInsertion = range.isEmpty;
  const endsLine = isInsertion || range.end.character === 0;
  const body = splitLines(text).join("\n");
  return { id: "block", range, oldText, newText: endsLine ? `${body}\n` : body };
}
