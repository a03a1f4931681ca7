import * as vscode from "vscode";
import { plural } from "../chat/conversation";
import type { Span } from "./layout";
import { type Review, reviewScheme } from "./review";

/** Shows the open review: its text as a virtual document, colours for what goes and comes, and a line of
 * actions above each hunk. */
export class ReviewView
  implements vscode.TextDocumentContentProvider, vscode.CodeLensProvider, vscode.Disposable
{
  private review: Review | undefined;
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly lensesChanged = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  readonly onDidChangeCodeLenses = this.lensesChanged.event;
  private readonly subscriptions: vscode.Disposable[];
  private timer: NodeJS.Timeout | undefined;
  /** Where the cursor is to go once the editor shows the new text. */
  private wantedLine: number | undefined;

  private readonly removed = lineDecoration(
    "diffEditor.removedLineBackground",
    "editorGutter.deletedBackground",
    "line-through",
  );
  private readonly added = lineDecoration(
    "diffEditor.insertedLineBackground",
    "editorGutter.addedBackground",
  );
  private readonly taken = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    overviewRulerColor: new vscode.ThemeColor("editorOverviewRuler.addedForeground"),
    borderWidth: "0 0 0 2px",
    borderStyle: "solid",
    borderColor: new vscode.ThemeColor("editorGutter.addedBackground"),
  });
  private readonly target = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor("editor.rangeHighlightBackground"),
  });

  constructor() {
    this.subscriptions = [
      this.removed,
      this.added,
      this.taken,
      this.target,
      this.changed,
      this.lensesChanged,
      vscode.workspace.registerTextDocumentContentProvider(reviewScheme, this),
      vscode.languages.registerCodeLensProvider({ scheme: reviewScheme }, this),
      vscode.window.registerFileDecorationProvider(this),
      vscode.window.onDidChangeVisibleTextEditors(() => this.redraw()),
      vscode.workspace.onDidChangeTextDocument(({ document }) => {
        if (document.uri.scheme !== reviewScheme) return;
        // While text streams in, asking for the actions with every piece would keep them from being drawn.
        if (this.review?.phase === "ready") this.redraw();
        else this.decorate();
      }),
    ];
  }

  async open(review: Review): Promise<void> {
    this.review = review;
    const before = vscode.window.visibleTextEditors.find((editor) => editor.document === review.document);
    const top = before?.visibleRanges[0]?.start.line;
    const shown = await vscode.window.showTextDocument(review.uri, {
      ...(review.column === undefined ? {} : { viewColumn: review.column }),
      preview: false,
      selection: new vscode.Range(review.selection.start, review.selection.start),
    });
    // The text stands where it stood: the review takes the document's place on the screen.
    if (top !== undefined)
      shown.revealRange(new vscode.Range(top, 0, top, 0), vscode.TextEditorRevealType.AtTop);
    shown.revealRange(
      new vscode.Range(review.selection.start, review.selection.start),
      vscode.TextEditorRevealType.Default,
    );
    this.decorate();
  }

  close(): void {
    this.review = undefined;
    this.wantedLine = undefined;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Redraws soon; many calls in a short time draw once. */
  update(): void {
    this.timer ??= setTimeout(() => this.updateNow(), 60);
  }

  updateNow(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.review) return;
    this.changed.fire(this.review.uri);
    if (this.review.phase === "ready" || this.review.size < 2) this.redraw();
    else this.decorate();
  }

  /** The editor takes a new text over a little later than it asks for the actions above its lines, so
   * both are drawn again whenever the text or the editor has changed. */
  private redraw(): void {
    if (!this.review) return;
    this.lensesChanged.fire();
    this.decorate();
  }

  /** Moves the cursor to a line of the review's text, as soon as the editor shows that text. */
  goTo(line: number): void {
    this.wantedLine = line;
    this.decorate();
  }

  editor(): vscode.TextEditor | undefined {
    const review = this.review;
    return review && vscode.window.visibleTextEditors.find((editor) => isOf(editor.document, review));
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.review && uri.toString() === this.review.uri.toString() ? this.review.text : "";
  }

  /** Tells the review's tab from the document's, which has the same name. */
  provideFileDecoration(uri: vscode.Uri): vscode.FileDecoration | undefined {
    if (uri.scheme !== reviewScheme) return undefined;
    return new vscode.FileDecoration(
      "±",
      "Proposed changes",
      new vscode.ThemeColor("gitDecoration.modifiedResourceForeground"),
    );
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const review = this.review;
    if (!review || !isOf(document, review)) return [];
    const { pending } = review;
    const first = pending[0]?.old.start ?? review.selection.start.line;
    const lenses = heading(review).map((command) => new vscode.CodeLens(lineRange(document, first), command));
    if (review.phase === "streaming") return lenses;
    for (const hunk of pending) {
      const at = lineRange(document, hunk.old.start);
      lenses.push(
        new vscode.CodeLens(at, {
          title: "$(check) Accept",
          command: "hearth.edit.acceptHunk",
          arguments: [hunk.id],
          tooltip: "Alt+Y",
        }),
        new vscode.CodeLens(at, {
          title: "$(close) Reject",
          command: "hearth.edit.rejectHunk",
          arguments: [hunk.id],
          tooltip: "Alt+N",
        }),
      );
    }
    return lenses;
  }

  private decorate(): void {
    const review = this.review;
    const editor = this.editor();
    if (!review || !editor) return;
    // Colours for another text would be wrong.
    if (editor.document.getText().replaceAll("\r\n", "\n") !== review.text) return;
    const ranges = (spans: Span[]) =>
      spans
        .filter((span) => span.end > span.start)
        .map((span) => new vscode.Range(span.start, 0, span.end - 1, 0));
    const { hunks } = review.layout;
    const pending = hunks.filter((hunk) => hunk.decision === "pending");
    editor.setDecorations(this.removed, ranges(pending.map((hunk) => hunk.old)));
    editor.setDecorations(this.added, ranges(pending.map((hunk) => hunk.new)));
    editor.setDecorations(
      this.taken,
      ranges(hunks.filter((hunk) => hunk.decision === "accepted").map((hunk) => hunk.new)),
    );
    editor.setDecorations(this.target, hunks.length === 0 ? [review.selection] : []);
    if (this.wantedLine !== undefined) {
      const at = new vscode.Position(this.wantedLine, 0);
      this.wantedLine = undefined;
      editor.selection = new vscode.Selection(at, at);
      editor.revealRange(new vscode.Range(at, at), vscode.TextEditorRevealType.InCenterIfOutsideViewport);
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const subscription of this.subscriptions) subscription.dispose();
  }
}

function heading(review: Review): vscode.Command[] {
  const nothing = "";
  const { title } = review.source;
  const name = title.length > 60 ? `${title.slice(0, 59)}…` : title;
  if (review.phase === "streaming") {
    return [
      { title: `$(loading~spin) Hearth: ${name}`, command: nothing },
      { title: "$(debug-stop) Stop", command: "hearth.edit.rejectAll" },
    ];
  }
  const left = review.pending.length;
  const count =
    left === review.size ? plural(left, "change") : `${left} of ${plural(review.size, "change")} left`;
  const commands: vscode.Command[] = [
    { title: `$(sparkle) ${name} – ${count}`, command: nothing },
    { title: "$(check-all) Accept all", command: "hearth.edit.acceptAll", tooltip: "Ctrl+Enter" },
    { title: "$(close-all) Reject all", command: "hearth.edit.rejectAll", tooltip: "Escape" },
  ];
  if (review.source.followUp)
    commands.push({ title: "$(comment) Follow up…", command: "hearth.edit.followUp", tooltip: "Ctrl+K" });
  if (review.findings.length > 0)
    commands.push({ title: `$(warning) ${review.findings[0] ?? ""}`, command: nothing });
  return commands;
}

function isOf(document: vscode.TextDocument, review: Review): boolean {
  return document.uri.toString() === review.uri.toString();
}

function lineRange(document: vscode.TextDocument, line: number): vscode.Range {
  const at = Math.min(line, document.lineCount - 1);
  return new vscode.Range(at, 0, at, 0);
}

function lineDecoration(
  background: string,
  ruler: string,
  textDecoration?: string,
): vscode.TextEditorDecorationType {
  return vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor(background),
    overviewRulerColor: new vscode.ThemeColor(ruler),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    ...(textDecoration ? { textDecoration, opacity: "0.75" } : {}),
  });
}
