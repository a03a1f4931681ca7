import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import { type Daemon, messageOf } from "./daemon";
import { type CompletionExplanation, method } from "./protocol";

const acceptedCommand = "hearth.completionAccepted";

/** Ghost text itself comes through the language client; here are the person's switch and delay,
 * the events that tell the daemon what became of a suggestion, and the explanation. */
export class Completion {
  private shown: string | undefined;

  constructor(private readonly daemon: () => Daemon) {}

  readonly middleware: Middleware = {
    provideInlineCompletionItems: async (document, position, context, token, next) => {
      const settings = vscode.workspace.getConfiguration("hearth", document);
      const asked = context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke;
      if (!asked && !settings.get<boolean>("completion.enabled", true)) return null;
      const delay = asked ? 0 : settings.get<number>("completion.delay", 0);
      if (delay > 0) {
        await new Promise((resolve) => setTimeout(resolve, delay));
        if (token.isCancellationRequested) return null;
      }
      const result = await next(document, position, context, token);
      const items = Array.isArray(result) ? result : (result?.items ?? []);
      this.noteShown(items);
      return result;
    },
  };

  private noteShown(items: readonly vscode.InlineCompletionItem[]): void {
    const id = items.map(itemId).find((candidate) => candidate !== undefined);
    if (id === this.shown) return;
    if (this.shown) this.send(this.shown, "rejected");
    this.shown = id;
    if (id) this.send(id, "shown");
  }

  private send(id: string, kind: "shown" | "accepted" | "rejected"): void {
    this.daemon().notify(method.completionEvent, { itemId: id, kind });
  }

  register(): vscode.Disposable[] {
    return [
      vscode.commands.registerCommand(acceptedCommand, (id: unknown) => {
        if (typeof id !== "string") return;
        this.send(id, "accepted");
        if (this.shown === id) this.shown = undefined;
      }),
      vscode.commands.registerCommand("hearth.completion.trigger", () =>
        vscode.commands.executeCommand("editor.action.inlineSuggest.trigger"),
      ),
      vscode.commands.registerCommand("hearth.completion.toggle", () => this.toggle()),
      vscode.commands.registerCommand("hearth.completion.explain", () => this.explain()),
    ];
  }

  private async toggle(): Promise<void> {
    const settings = vscode.workspace.getConfiguration("hearth");
    const enabled = !settings.get<boolean>("completion.enabled", true);
    await settings.update("completion.enabled", enabled, vscode.ConfigurationTarget.Global);
    vscode.window.setStatusBarMessage(`Hearth: suggestions ${enabled ? "on" : "off"}`, 3000);
  }

  private async explain(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor) {
      void vscode.window.showInformationMessage(
        "Open a file and place the cursor where a suggestion should be.",
      );
      return;
    }
    const off = !vscode.workspace
      .getConfiguration("hearth", editor.document)
      .get<boolean>("completion.enabled", true);
    try {
      const answer = await this.daemon().request<CompletionExplanation>(method.explainCompletion, {
        textDocument: { uri: this.daemon().toUri(editor.document.uri) },
        position: editor.selection.active,
      });
      await showExplanation(editor, answer, off);
    } catch (error) {
      void vscode.window.showErrorMessage(messageOf(error));
    }
  }
}

function itemId(item: vscode.InlineCompletionItem): string | undefined {
  const id: unknown = item.command?.command === acceptedCommand ? item.command.arguments?.[0] : undefined;
  return typeof id === "string" ? id : undefined;
}

async function showExplanation(
  editor: vscode.TextEditor,
  answer: CompletionExplanation,
  off: boolean,
): Promise<void> {
  const { line, character } = editor.selection.active;
  const reason = off
    ? "Suggestions are turned off in the settings."
    : (answer.reason ?? "There is a suggestion here.");
  const entries: vscode.QuickPickItem[] = [
    { label: `$(info) ${reason}`, alwaysShow: true },
    { label: "Stages", kind: vscode.QuickPickItemKind.Separator },
    ...answer.stages.map((stage) => ({
      label: stage.name,
      description: `${stage.ms.toFixed(1)} ms`,
      ...(stage.detail ? { detail: stage.detail } : {}),
    })),
  ];
  await vscode.window.showQuickPick(entries, {
    title: `Why no suggestion at ${line + 1}:${character + 1}?`,
    placeHolder: "Escape closes",
  });
}
