import * as vscode from "vscode";
import type { Daemon } from "./daemon";
import { statusText } from "./statusText";

/** The item in the status bar, and the menu behind it. */
export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    "hearth.status",
    vscode.StatusBarAlignment.Right,
    100,
  );
  private readonly working: string[] = [];
  private readonly subscriptions: vscode.Disposable[];

  constructor(private readonly daemon: Daemon) {
    this.item.name = "Hearth";
    this.item.command = "hearth.menu";
    this.subscriptions = [
      this.item,
      daemon.onState(() => this.update()),
      daemon.onStatus(() => this.update()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.update()),
    ];
    this.update();
    this.item.show();
  }

  /** Shows `what` while `work` runs. */
  async during<T>(what: string, work: Promise<T>): Promise<T> {
    this.working.push(what);
    this.update();
    try {
      return await work;
    } finally {
      this.working.splice(this.working.indexOf(what), 1);
      this.update();
    }
  }

  private update(): void {
    const { text, lines, severity } = statusText({
      state: this.daemon.state,
      status: this.daemon.status,
      trusted: vscode.workspace.isTrusted,
      working: this.working.at(-1),
    });
    this.item.text = text;
    this.item.tooltip = ["Hearth", ...lines].join("\n");
    this.item.accessibilityInformation = { label: text.replace(/\$\([^)]*\)\s*/g, ""), role: "button" };
    const colour = {
      normal: undefined,
      warning: "statusBarItem.warningBackground",
      error: "statusBarItem.errorBackground",
    }[severity];
    this.item.backgroundColor = colour ? new vscode.ThemeColor(colour) : undefined;
  }

  async menu(): Promise<void> {
    type Entry = vscode.QuickPickItem & { command?: string };
    const status = this.daemon.status;
    const paused = status?.index.state === "paused";
    const entries: Entry[] = [
      { label: "$(comment-discussion) Open Chat", command: "hearth.openChat" },
      { label: "$(search) Search the Workspace", command: "hearth.search" },
      { label: "$(question) Why No Suggestion Here?", command: "hearth.completion.explain" },
      { label: "$(edit) Turn Suggestions On or Off", command: "hearth.completion.toggle" },
      { label: "", kind: vscode.QuickPickItemKind.Separator },
      paused
        ? { label: "$(play) Resume Indexing", command: "hearth.index.resume" }
        : { label: "$(debug-pause) Pause Indexing", command: "hearth.index.pause" },
      { label: "$(database) Rebuild the Index", command: "hearth.index.rebuild" },
      { label: "", kind: vscode.QuickPickItemKind.Separator },
      { label: "$(debug-restart) Restart", command: "hearth.restart" },
      { label: "$(output) Show Log", command: "hearth.showLog" },
    ];
    if (!vscode.workspace.isTrusted) {
      entries.unshift({ label: "$(shield) Manage Workspace Trust", command: "workbench.trust.manage" });
    }
    const lines = String(this.item.tooltip ?? "")
      .split("\n")
      .slice(1);
    entries.push(
      { label: "State", kind: vscode.QuickPickItemKind.Separator },
      ...lines.map((line) => ({ label: `$(info) ${line}` })),
    );
    const chosen = await vscode.window.showQuickPick(entries, {
      title: this.item.text.replace(/\$\([^)]*\)\s*/g, ""),
      placeHolder: "What should Hearth do?",
    });
    if (chosen?.command) await vscode.commands.executeCommand(chosen.command);
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }
}
