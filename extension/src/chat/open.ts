import * as vscode from "vscode";
import type { Range } from "../protocol";
import { isAbsolute } from "./conversation";

/** The file of the workspace that a relative path names; undefined when it leads out of it. */
export async function resolveInWorkspace(path: string): Promise<vscode.Uri | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  for (const folder of folders) {
    const prefix = `${folder.name}/`;
    const inFolder = folders.length > 1 && path.startsWith(prefix) ? path.slice(prefix.length) : path;
    const uri = vscode.Uri.joinPath(folder.uri, inFolder);
    if (vscode.workspace.getWorkspaceFolder(uri) === undefined) continue;
    try {
      await vscode.workspace.fs.stat(uri);
      return uri;
    } catch {
      // Not in this folder; perhaps in the next.
    }
  }
  return undefined;
}

/** The file outside the workspace that an absolute path names, on the machine where the daemon runs. */
async function resolveOutside(path: string): Promise<vscode.Uri | undefined> {
  const folder = vscode.workspace.workspaceFolders?.[0];
  const uri = folder?.uri.with({ path: path.startsWith("/") ? path : `/${path}` });
  try {
    if (uri) await vscode.workspace.fs.stat(uri);
    return uri;
  } catch {
    return undefined;
  }
}

/** Opens a place of the workspace. An absolute path is opened only where it is `cited`: the daemon named it as a source,
 * which it does for the person's folders of documentation alone. */
export async function openCitation(path: string, range: Range | undefined, cited: boolean): Promise<void> {
  const outside = cited && isAbsolute(path);
  const uri = await (outside ? resolveOutside(path) : resolveInWorkspace(path));
  if (!uri) {
    const where = outside ? "there" : "in the workspace";
    void vscode.window.showWarningMessage(`${path} is not ${where} any more.`);
    return;
  }
  if (((await vscode.workspace.fs.stat(uri)).type & vscode.FileType.Directory) !== 0) {
    await vscode.commands.executeCommand("revealInExplorer", uri);
    return;
  }
  if (/\.pdf$/i.test(uri.path)) {
    // Whatever the person has installed to show PDFs; a range of the text in it means nothing there.
    await vscode.commands.executeCommand("vscode.open", uri);
    return;
  }
  const selection = range
    ? new vscode.Range(range.start.line, range.start.character, range.end.line, range.end.character)
    : undefined;
  const editor = await vscode.window.showTextDocument(uri, {
    preview: true,
    ...(selection ? { selection } : {}),
  });
  if (selection) editor.revealRange(selection, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
}

/** A link in an answer: a place in the workspace or one that is cited, or an address that the editor asks about before it
 * opens it. */
export async function openLink(href: string, isCited: (path: string) => boolean): Promise<void> {
  if (/^https?:\/\//i.test(href)) {
    await vscode.env.openExternal(vscode.Uri.parse(href, true));
    return;
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(href)) return;
  const [, path, line] = /^([^#]+?)(?:(?::|#L)(\d+).*)?$/.exec(decodeURI(href)) ?? [];
  if (!path) return;
  const at = line ? Math.max(0, Number(line) - 1) : undefined;
  await openCitation(
    path,
    at === undefined ? undefined : { start: { line: at, character: 0 }, end: { line: at, character: 0 } },
    isCited(path),
  );
}
