import * as vscode from "vscode";
import { relative } from "./chat/mentions";
import { ChatView } from "./chat/view";
import { Completion } from "./completion";
import { Daemon, messageOf } from "./daemon";
import { applyBlock, insertAtCursor, LastEditor } from "./edit/codeBlock";
import { InlineEdit } from "./edit/inlineEdit";
import { type EditProposalRequest, type IndexStatus, method, type QuestionRequest } from "./protocol";
import { searchWorkspace } from "./search";
import { StatusBar } from "./status";

let daemon: Daemon | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel("Hearth", { log: true });
  const completion = new Completion(() => server);
  const server = new Daemon(context.extensionPath, log, completion.middleware);
  daemon = server;
  const status = new StatusBar(server);
  const edits = new InlineEdit(server, status);
  const lastEditor = new LastEditor();
  const chat = new ChatView(context, server, status, {
    insert: (text) => insertAtCursor(lastEditor.get(), text),
    apply: (text) => applyBlock(lastEditor.get(), text, edits),
  });
  context.subscriptions.push(
    log,
    status,
    edits,
    lastEditor,
    ...completion.register(),
    ...edits.register(),
    ...chat.register(),
    ...serverCommands(server, status, log),
    // The daemon's code actions call these two; what they carry is the daemon's.
    vscode.commands.registerCommand("hearth.proposeEdit", (request: EditProposalRequest) =>
      edits.proposeFor(request),
    ),
    vscode.commands.registerCommand("hearth.askChat", (request: QuestionRequest) => askChat(chat, request)),
    vscode.workspace.onDidGrantWorkspaceTrust(() => server.notify(method.trustChanged, { trusted: true })),
  );
  await server.start();
}

export async function deactivate(): Promise<void> {
  await daemon?.dispose();
}

async function askChat(chat: ChatView, request: QuestionRequest): Promise<void> {
  const uri = vscode.Uri.parse(request.uri, true);
  const { start, end } = request.range;
  const selection = new vscode.Range(start.line, start.character, end.line, end.character);
  const mentions = vscode.workspace.getWorkspaceFolder(uri)
    ? [{ kind: "file" as const, path: relative(uri) }]
    : [];
  await chat.ask(request.message, mentions, { uri, selection });
}

function serverCommands(
  server: Daemon,
  status: StatusBar,
  log: vscode.LogOutputChannel,
): vscode.Disposable[] {
  const index = async (action: "pause" | "resume" | "rebuild") => {
    try {
      await server.request<IndexStatus>(method.index, { action });
    } catch (error) {
      void vscode.window.showErrorMessage(messageOf(error));
    }
  };
  return [
    vscode.commands.registerCommand("hearth.index.pause", () => index("pause")),
    vscode.commands.registerCommand("hearth.index.resume", () => index("resume")),
    vscode.commands.registerCommand("hearth.index.rebuild", () => index("rebuild")),
    vscode.commands.registerCommand("hearth.search", () => searchWorkspace(server)),
    vscode.commands.registerCommand("hearth.restart", () => server.restart()),
    vscode.commands.registerCommand("hearth.showLog", () => log.show()),
    vscode.commands.registerCommand("hearth.menu", () => status.menu()),
  ];
}
