import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { type Daemon, messageOf } from "../daemon";
import {
  type ChatPartial,
  type ChatResult,
  type ConversationSummary,
  type Mention,
  method,
  type StoredMessage,
} from "../protocol";
import type { StatusBar } from "../status";
import { Conversation } from "./conversation";
import { HistorySearch } from "./history";
import { pickAttachments, suggestMentions } from "./mentions";
import { type ChatMessage, isToExtension, type ToExtension, type ToWebview } from "./messages";
import { openCitation, openLink } from "./open";

const conversationKey = "hearth.chat.conversation";
const draftKey = "hearth.chat.draft";

interface Draft {
  text: string;
  mentions: Mention[];
}

export interface CodeBlockActions {
  insert(text: string): Promise<void>;
  apply(text: string): Promise<void>;
}

/** The chat in the side bar. The conversation and the draft live here, not in the webview, which the
 * editor throws away whenever another view is shown. */
export class ChatView implements vscode.WebviewViewProvider {
  private view: vscode.WebviewView | undefined;
  private readonly conversation = new Conversation();
  private running: vscode.CancellationTokenSource | undefined;
  private completing: vscode.CancellationTokenSource | undefined;
  private restored = false;
  private ready = false;
  private focusWanted = false;
  private pending = new Map<string, string>();
  private flushTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly daemon: Daemon,
    private readonly status: StatusBar,
    private readonly actions: CodeBlockActions,
  ) {}

  register(): vscode.Disposable[] {
    return [
      vscode.window.registerWebviewViewProvider("hearth.chat", this),
      this.daemon.onState((state) => {
        if (state.kind === "running") void this.restore();
        this.postState();
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.postState()),
      vscode.commands.registerCommand("hearth.openChat", () => this.focus()),
      vscode.commands.registerCommand("hearth.chat.new", () => this.startNew()),
      vscode.commands.registerCommand("hearth.chat.list", () => this.choose()),
      vscode.commands.registerCommand("hearth.chat.attach", () => this.attach()),
      vscode.commands.registerCommand("hearth.chat.addSelection", () => this.focus()),
    ];
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    this.ready = false;
    const dist = vscode.Uri.joinPath(this.context.extensionUri, "dist");
    view.webview.options = { enableScripts: true, enableCommandUris: false, localResourceRoots: [dist] };
    view.webview.onDidReceiveMessage((message: unknown) => {
      if (!isToExtension(message)) return;
      this.receive(message).catch((error) => vscode.window.showErrorMessage(messageOf(error)));
    });
    view.onDidDispose(() => {
      // Nobody reads the answer any more: the model stops writing it.
      this.running?.cancel();
      this.view = undefined;
    });
    view.webview.html = page(view.webview, dist);
  }

  /** Asks a question from outside the view: a code action, a command. */
  async ask(
    text: string,
    mentions: Mention[],
    place?: { uri: vscode.Uri; selection: vscode.Range },
  ): Promise<void> {
    if (vscode.workspace.getConfiguration("hearth").get<boolean>("chat.openOnQuestion", true)) {
      await this.focus();
    }
    if (this.running) {
      this.setDraft({ text, mentions });
      this.post({ type: "draft", text, mentions });
      return;
    }
    await this.send(text, mentions, undefined, place);
  }

  private async receive(message: ToExtension): Promise<void> {
    switch (message.type) {
      case "ready":
        await this.restore();
        this.postState();
        this.post({ type: "draft", ...this.draft() });
        this.ready = true;
        if (this.focusWanted) this.post({ type: "focus" });
        this.focusWanted = false;
        break;
      case "send":
        await this.send(message.text, message.mentions);
        break;
      case "stop":
        this.running?.cancel();
        break;
      case "retry":
        await this.retry(message.id);
        break;
      case "draft":
        this.setDraft(message);
        break;
      case "open":
        await openCitation(message.path, message.range, this.conversation.cites(message.path));
        break;
      case "openLink":
        await openLink(message.href, (path) => this.conversation.cites(path));
        break;
      case "copy":
        await vscode.env.clipboard.writeText(message.text);
        break;
      case "insert":
        await this.actions.insert(message.text);
        break;
      case "apply":
        await this.actions.apply(message.text);
        break;
      case "complete":
        await this.complete(message.serial, message.query);
        break;
      case "attach":
        await this.attach();
        break;
      case "new":
        this.startNew();
        break;
      case "list":
        await this.choose();
        break;
    }
  }

  private async send(
    text: string,
    mentions: Mention[],
    parentId?: string | null,
    place?: { uri: vscode.Uri; selection: vscode.Range },
  ): Promise<void> {
    if (this.running || text.trim() === "") return;
    if (!this.daemon.running) {
      // The text stays where it was typed.
      this.post({ type: "draft", text, mentions });
      this.postState();
      return;
    }
    this.setDraft({ text: "", mentions: [] });
    const source = new vscode.CancellationTokenSource();
    this.running = source;
    const started = Date.now();
    const parent = parentId === undefined ? this.conversation.lastId : parentId;
    const { question, answer } = this.conversation.ask(text, mentions);
    this.postState();
    try {
      const params = {
        ...(this.conversation.id ? { conversationId: this.conversation.id } : {}),
        ...(parent !== undefined ? { parentMessageId: parent } : {}),
        message: text,
        mentions,
        ...this.whereThePersonIs(place),
      };
      const result = await this.status.during(
        "thinking",
        this.daemon.stream<ChatPartial, ChatResult>(
          method.chat,
          params,
          (partial) => this.partial(answer, partial),
          source.token,
        ),
      );
      this.conversation.finish(question, answer, result);
      await this.context.workspaceState.update(conversationKey, result.conversationId);
    } catch (error) {
      if (source.token.isCancellationRequested) this.conversation.fail(answer, "stopped");
      else this.conversation.fail(answer, "failed", messageOf(error));
      await this.adopt(started, question, answer);
    } finally {
      this.running = undefined;
      source.dispose();
      this.pending.clear();
      this.postState();
    }
  }

  /** The document and selection that "this" in a question means. */
  private whereThePersonIs(place?: { uri: vscode.Uri; selection: vscode.Range }): object {
    const editor = vscode.window.activeTextEditor;
    const uri = place?.uri ?? editor?.document.uri;
    const selection = place?.selection ?? editor?.selection;
    if (uri?.scheme !== "file" || !vscode.workspace.getWorkspaceFolder(uri)) return {};
    return {
      textDocument: { uri: this.daemon.toUri(uri) },
      ...(selection && !selection.isEmpty
        ? { selection: { start: selection.start, end: selection.end } }
        : {}),
    };
  }

  private partial(answer: ChatMessage, partial: ChatPartial): void {
    if (answer.state !== "streaming") return;
    this.conversation.partial(answer, partial);
    if (partial.kind !== "text") {
      this.postState();
      return;
    }
    // Tokens come faster than a screen is drawn: they go over in bundles.
    this.pending.set(answer.id, (this.pending.get(answer.id) ?? "") + partial.text);
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = undefined;
      for (const [id, text] of this.pending) this.post({ type: "delta", id, text });
      this.pending.clear();
    }, 40);
  }

  /** An answer that ends early comes without ids, but the daemon has kept it: what follows hangs under it. */
  private async adopt(started: number, question: ChatMessage, answer: ChatMessage): Promise<void> {
    if (!this.daemon.running) return;
    try {
      const id = this.conversation.id ?? (await this.newestSince(started));
      if (!id) return;
      const stored = await this.stored(id);
      if (this.conversation.adopt(id, stored.messages, question, answer)) {
        await this.context.workspaceState.update(conversationKey, id);
      }
    } catch {
      // Then the next question stands beside this one.
    }
  }

  private async newestSince(started: number): Promise<string | undefined> {
    const list = await this.daemon.request<{ conversations: ConversationSummary[] }>(method.conversations, {
      action: "list",
    });
    return list.conversations.find((entry) => entry.updatedAt >= started)?.id;
  }

  private stored(id: string): Promise<{ title: string; messages: StoredMessage[] }> {
    return this.daemon.request(method.conversations, { action: "get", conversationId: id });
  }

  private async retry(answerId: string): Promise<void> {
    if (this.running || !this.daemon.running) return;
    const again = this.conversation.takeBack(answerId);
    if (again) await this.send(again.text, again.mentions, again.parentId);
  }

  private async restore(): Promise<void> {
    if (this.restored || !this.daemon.running) return;
    this.restored = true;
    const id = this.context.workspaceState.get<string>(conversationKey);
    if (id && this.conversation.messages.length === 0) await this.load(id);
  }

  private async load(id: string): Promise<void> {
    try {
      const stored = await this.stored(id);
      this.conversation.restore(id, stored.title, stored.messages);
      await this.context.workspaceState.update(conversationKey, id);
    } catch {
      // It was deleted elsewhere: start with an empty one.
      this.conversation.clear();
      await this.context.workspaceState.update(conversationKey, undefined);
    }
    this.postState();
  }

  private startNew(): void {
    this.running?.cancel();
    this.conversation.clear();
    void this.context.workspaceState.update(conversationKey, undefined);
    this.postState();
    this.post({ type: "focus" });
  }

  private async choose(): Promise<void> {
    const answer = await this.daemon.request<{ conversations: ConversationSummary[] }>(method.conversations, {
      action: "list",
    });
    const remove: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("trash"), tooltip: "Delete" };
    const rename: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("edit"), tooltip: "Rename" };
    type Entry = vscode.QuickPickItem & { id: string };
    const pick = vscode.window.createQuickPick<Entry>();
    pick.title = "Conversations";
    pick.placeholder =
      answer.conversations.length === 0
        ? "There are none yet"
        : "Choose one to go on with, or search by words or meaning";
    const show = (found: ConversationSummary[]) => {
      pick.items = found.map((entry) => ({
        id: entry.id,
        label: entry.title,
        description: when(entry.updatedAt),
        ...(entry.excerpt ? { detail: entry.excerpt.replace(/\s+/g, " ") } : {}),
        // The words stand in the messages, where the list does not look for them.
        alwaysShow: true,
        picked: entry.id === this.conversation.id,
        buttons: [rename, remove],
      }));
    };
    show(answer.conversations);
    const search = new HistorySearch(async (query) => {
      const params = query === undefined ? { action: "list" } : { action: "search", query };
      const found = await this.daemon.request<{ conversations: ConversationSummary[] }>(
        method.conversations,
        params,
      );
      return found.conversations;
    }, show);
    pick.onDidChangeValue((value) => search.type(value));
    pick.onDidTriggerItemButton(async ({ item, button }) => {
      if (button === rename) {
        const title = await vscode.window.showInputBox({
          title: "Rename the conversation",
          value: item.label,
        });
        if (title)
          await this.daemon.request(method.conversations, {
            action: "rename",
            conversationId: item.id,
            title,
          });
        return;
      }
      await this.daemon.request(method.conversations, { action: "delete", conversationId: item.id });
      pick.items = pick.items.filter((other) => other.id !== item.id);
      if (item.id === this.conversation.id) this.startNew();
    });
    pick.onDidAccept(() => {
      const [chosen] = pick.selectedItems;
      pick.hide();
      if (!chosen) return;
      this.running?.cancel();
      void this.load(chosen.id);
    });
    pick.onDidHide(() => {
      search.stop();
      pick.dispose();
    });
    pick.show();
  }

  private async attach(): Promise<void> {
    const mentions = await pickAttachments();
    if (mentions.length > 0) this.post({ type: "attached", mentions });
  }

  private async focus(): Promise<void> {
    // A view that is only now being made takes the focus once it is ready.
    this.focusWanted = !this.ready;
    await vscode.commands.executeCommand("hearth.chat.focus");
    this.post({ type: "focus" });
  }

  private async complete(serial: number, query: string): Promise<void> {
    this.completing?.cancel();
    const source = new vscode.CancellationTokenSource();
    this.completing = source;
    const items = await suggestMentions(query, this.daemon, source.token);
    if (!source.token.isCancellationRequested) this.post({ type: "suggestions", serial, items });
  }

  private draft(): Draft {
    return this.context.workspaceState.get<Draft>(draftKey, { text: "", mentions: [] });
  }

  private setDraft({ text, mentions }: Draft): void {
    void this.context.workspaceState.update(draftKey, { text, mentions });
  }

  private postState(): void {
    const state = this.daemon.state;
    const unavailable =
      state.kind === "running"
        ? undefined
        : state.kind === "failed"
          ? `Hearth has stopped: ${state.reason}`
          : state.kind === "restarting"
            ? "Hearth is restarting. What you typed is kept."
            : "Hearth is starting …";
    this.pending.clear();
    this.post({
      type: "state",
      state: {
        title: this.conversation.title,
        messages: this.conversation.messages,
        busy: this.running !== undefined,
        restricted: !vscode.workspace.isTrusted,
        ...(unavailable ? { unavailable } : {}),
      },
    });
    if (this.view)
      this.view.description = this.conversation.messages.length > 0 ? this.conversation.title : "";
  }

  private post(message: ToWebview): void {
    void this.view?.webview.postMessage(message);
  }
}

function when(ms: number): string {
  const date = new Date(ms);
  const sameDay = date.toDateString() === new Date().toDateString();
  return sameDay
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString();
}

/** Nothing is fetched from anywhere: script and style come from the extension, images from nowhere. */
function page(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = randomBytes(16).toString("base64");
  const file = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(dist, name)).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${file("chat-style.css")}">
<title>Hearth chat</title>
</head>
<body>
<div id="root"></div>
<script nonce="${nonce}" src="${file("chat.js")}"></script>
</body>
</html>`;
}
