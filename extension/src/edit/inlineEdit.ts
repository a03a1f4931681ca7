import * as vscode from "vscode";
import { type Daemon, messageOf } from "../daemon";
import { type EditPartial, type EditProposalRequest, type EditResult, method } from "../protocol";
import type { StatusBar } from "../status";
import type { Decision } from "./layout";
import { localHunk, Review, type ReviewSource, reviewScheme } from "./review";
import { ReviewView } from "./reviewView";

/** Edits under review, one at a time: from an instruction, a code action or a block of the chat to one
 * workspace edit, which one undo takes back. */
export class InlineEdit implements vscode.Disposable {
  private readonly view = new ReviewView();
  private review: Review | undefined;
  private running: vscode.CancellationTokenSource | undefined;
  private unsent = "";
  private serial = 0;
  private finishing = false;

  constructor(
    private readonly daemon: Daemon,
    private readonly status: StatusBar,
  ) {}

  register(): vscode.Disposable[] {
    const command = (name: string, run: (id?: unknown) => unknown) =>
      vscode.commands.registerCommand(name, run);
    return [
      command("hearth.edit.start", () => this.start()),
      command("hearth.edit.acceptAll", () => this.decideAll("accepted")),
      command("hearth.edit.rejectAll", () => this.decideAll("rejected")),
      command("hearth.edit.acceptHunk", (id) => this.decide(id, "accepted")),
      command("hearth.edit.rejectHunk", (id) => this.decide(id, "rejected")),
      command("hearth.edit.nextHunk", () => this.go(1)),
      command("hearth.edit.previousHunk", () => this.go(-1)),
      command("hearth.edit.followUp", () => this.review?.source.followUp?.()),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => {
        if (
          closed.some(
            (tab) => tab.input instanceof vscode.TabInputText && tab.input.uri.scheme === reviewScheme,
          )
        ) {
          void this.closedByPerson();
        }
      }),
    ];
  }

  private async start(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor || editor.document.uri.scheme === reviewScheme) return;
    if (await this.refused(editor.document)) return;
    const instruction = await this.askInstruction("What should change in the selection?");
    if (instruction === undefined) return;
    await this.propose(editor, wholeLines(editor.document, editor.selection), instruction, instruction);
  }

  /** A code action of the daemon: it brings its own instruction. */
  async proposeFor(request: EditProposalRequest): Promise<void> {
    const document = await vscode.workspace.openTextDocument(vscode.Uri.parse(request.uri, true));
    if (await this.refused(document)) return;
    const editor = await vscode.window.showTextDocument(document, { preview: false });
    const { start, end } = request.range;
    const range = wholeLines(
      document,
      new vscode.Range(start.line, start.character, end.line, end.character),
    );
    await this.propose(editor, range, request.instruction, request.title ?? request.instruction);
  }

  /** A block of the chat put into the document: shown as a diff, like every other change. */
  async proposeText(editor: vscode.TextEditor, range: vscode.Range, text: string): Promise<void> {
    if (await this.refused(editor.document)) return;
    const hunk = localHunk(editor.document, range, text);
    if (hunk.oldText.trimEnd() === hunk.newText.trimEnd()) {
      void vscode.window.showInformationMessage("The file already reads like this block.");
      return;
    }
    const { document } = editor;
    const { version } = document;
    const review = this.newReview(editor, range, {
      title: "code from the chat",
      resolve: async (accepted) => {
        const edit = new vscode.WorkspaceEdit();
        if (document.version !== version)
          throw new Error("The file has changed since the block was applied. Apply it again.");
        if (accepted.length > 0) edit.replace(document.uri, range, hunk.newText);
        return edit;
      },
    });
    await this.view.open(review);
    review.settle([hunk]);
    this.view.updateNow();
  }

  private async propose(
    editor: vscode.TextEditor,
    range: vscode.Range,
    instruction: string,
    title: string,
  ): Promise<void> {
    const review = this.newReview(editor, range, { title, resolve: unresolved });
    await this.view.open(review);
    await this.run(review, instruction, title, undefined);
  }

  private async run(
    review: Review,
    instruction: string,
    title: string,
    previousEditId: string | undefined,
  ): Promise<void> {
    const token = new vscode.CancellationTokenSource();
    this.running = token;
    const { document } = review;
    const params = {
      textDocument: { uri: this.daemon.toUri(document.uri), version: document.version },
      // A range of the editor's own would go over as an array.
      range: { start: review.selection.start, end: review.selection.end },
      instruction,
      ...(previousEditId ? { previousEditId } : {}),
    };
    try {
      const result = await this.status.during(
        "editing",
        this.daemon.stream<EditPartial, EditResult>(
          method.edit,
          params,
          (partial) => {
            if (partial.kind !== "hunk" || this.review !== review) return;
            review.show(partial.hunk);
            this.view.update();
          },
          token.token,
        ),
      );
      if (this.review !== review) return;
      this.unsent = "";
      if (result.hunks.length === 0) {
        await this.leave(review);
        void vscode.window.showInformationMessage(`No change was proposed for “${title}”.`);
        return;
      }
      review.source = this.sourceOf(review, result, title);
      review.findings = (result.validation ?? []).map((finding) => finding.message);
      review.settle(result.hunks);
      this.view.updateNow();
    } catch (error) {
      if (this.review !== review) return;
      await this.leave(review);
      if (token.token.isCancellationRequested) return;
      this.unsent = instruction;
      await this.offerRetry(messageOf(error));
    } finally {
      if (this.running === token) this.running = undefined;
      token.dispose();
    }
  }

  private sourceOf(review: Review, result: EditResult, title: string): ReviewSource {
    return {
      title,
      resolve: async (accepted, version) => {
        const params = { editId: result.editId, accepted, version };
        const answer = await this.daemon.request<{ edit: unknown }>(method.resolveEdit, params);
        return this.daemon.toWorkspaceEdit(answer.edit);
      },
      followUp: async () => {
        const instruction = await this.askInstruction(`After “${title}”: what else?`);
        if (instruction === undefined || this.review !== review) return;
        review.restart({ title: instruction, resolve: unresolved });
        this.view.updateNow();
        await this.run(review, instruction, instruction, result.editId);
      },
    };
  }

  private newReview(editor: vscode.TextEditor, range: vscode.Range, source: ReviewSource): Review {
    this.serial += 1;
    const review = new Review(editor.document, range, source, editor.viewColumn, this.serial);
    this.review = review;
    void vscode.commands.executeCommand("setContext", "hearth.reviewing", true);
    return review;
  }

  private async decide(id: unknown, decision: Decision): Promise<void> {
    const review = this.review;
    if (review?.phase !== "ready") return;
    const line = this.view.editor()?.selection.active.line ?? 0;
    const hunk =
      typeof id === "string" ? review.layout.hunks.find((placed) => placed.id === id) : review.hunkAt(line);
    if (!hunk) return;
    review.decide(hunk.id, decision);
    this.view.updateNow();
    if (review.pending.length === 0) await this.finish(review);
    else this.go(1);
  }

  private async decideAll(decision: Decision): Promise<void> {
    const review = this.review;
    if (!review) return;
    if (review.phase === "streaming") {
      if (decision === "accepted") return;
      this.running?.cancel();
      await this.leave(review);
      return;
    }
    review.decideAll(decision);
    await this.finish(review);
  }

  /** Every hunk is decided: the accepted ones become one edit of the document. */
  private async finish(review: Review): Promise<void> {
    if (this.finishing) return;
    this.finishing = true;
    try {
      const edit = await review.source.resolve(review.accepted, review.document.version);
      await this.leave(review);
      if (edit.size > 0 && !(await vscode.workspace.applyEdit(edit))) {
        throw new Error(
          "The editor refused the change, because the file was changed meanwhile. Nothing was written.",
        );
      }
    } catch (error) {
      await this.leave(review);
      void vscode.window.showErrorMessage(messageOf(error));
    } finally {
      this.finishing = false;
    }
  }

  /** Closes the review and puts the document back in its place. */
  private async leave(review: Review): Promise<void> {
    if (this.review !== review) return;
    this.review = undefined;
    this.view.close();
    void vscode.commands.executeCommand("setContext", "hearth.reviewing", false);
    await vscode.window.showTextDocument(review.document, {
      ...(review.column === undefined ? {} : { viewColumn: review.column }),
      preview: false,
    });
    const tabs = vscode.window.tabGroups.all
      .flatMap((group) => group.tabs)
      .filter((tab) => isReviewTab(tab, review.uri));
    if (tabs.length > 0) await vscode.window.tabGroups.close(tabs, true);
  }

  /** The tab was closed by hand: what was accepted counts, what was not decided does not. */
  private async closedByPerson(): Promise<void> {
    const review = this.review;
    if (!review || this.finishing || this.view.editor()) return;
    this.running?.cancel();
    if (review.accepted.length === 0) await this.leave(review);
    else await this.finish(review);
  }

  private go(step: 1 | -1): void {
    const editor = this.view.editor();
    if (!editor || !this.review) return;
    const hunk = this.review.neighbour(editor.selection.active.line, step);
    if (hunk) this.view.goTo(hunk.old.start);
  }

  private async refused(document: vscode.TextDocument): Promise<boolean> {
    if (!vscode.workspace.isTrusted) {
      const manage = "Manage Trust";
      const chosen = await vscode.window.showWarningMessage("Edits need a trusted workspace.", manage);
      if (chosen === manage) await vscode.commands.executeCommand("workbench.trust.manage");
      return true;
    }
    if (this.review) {
      await this.view.open(this.review);
      void vscode.window.showInformationMessage("Accept or reject this change first.");
      return true;
    }
    if (document.uri.scheme !== "file" && document.uri.scheme !== "untitled") {
      void vscode.window.showWarningMessage("Only files of the workspace can be edited.");
      return true;
    }
    return false;
  }

  /** Asks for the instruction. What was typed and not sent stands there again the next time. */
  private askInstruction(prompt: string): Promise<string | undefined> {
    const box = vscode.window.createInputBox();
    box.title = "Hearth: Edit";
    box.placeholder = "For example: return early when the list is empty";
    box.prompt = `${prompt} Nothing is written before you accept it.`;
    box.value = this.unsent;
    box.ignoreFocusOut = true;
    return new Promise((resolve) => {
      box.onDidChangeValue((value) => {
        this.unsent = value;
      });
      box.onDidAccept(() => {
        const instruction = box.value.trim();
        if (instruction === "") return;
        resolve(instruction);
        box.hide();
      });
      box.onDidHide(() => {
        resolve(undefined);
        box.dispose();
      });
      box.show();
    });
  }

  private async offerRetry(message: string): Promise<void> {
    const retry = "Try Again";
    if ((await vscode.window.showErrorMessage(message, retry)) === retry) await this.start();
  }

  dispose(): void {
    this.running?.cancel();
    this.view.dispose();
  }
}

function unresolved(): Promise<vscode.WorkspaceEdit> {
  return Promise.reject(new Error("The proposal is not complete yet."));
}

function isReviewTab(tab: vscode.Tab, uri: vscode.Uri): boolean {
  return tab.input instanceof vscode.TabInputText && tab.input.uri.toString() === uri.toString();
}

/** The lines that `range` touches, from the start of the first to the end of the last. A selection that
 * ends before the first character of a line does not take that line. */
export function wholeLines(document: vscode.TextDocument, range: vscode.Range): vscode.Range {
  const last =
    range.end.character === 0 && range.end.line > range.start.line ? range.end.line - 1 : range.end.line;
  return new vscode.Range(range.start.line, 0, last, document.lineAt(last).text.length);
}
