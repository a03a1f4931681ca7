import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** The daemon's program: the one inside the extension, or the developer's own build named by `HEARTH_SERVER`.
 * There is no setting for it: a workspace must never be able to name a program that is then started. */
export function findServer(extensionFolder: string, environment: NodeJS.ProcessEnv): string {
  const override = environment.HEARTH_SERVER;
  const name = process.platform === "win32" ? "hearth.exe" : "hearth";
  const program = override && override !== "" ? override : join(extensionFolder, "server", name);
  try {
    accessSync(program, constants.X_OK);
  } catch {
    throw new Error(
      override
        ? `HEARTH_SERVER names ${program}, which is not a program that can be started.`
        : `The extension was packaged without its program (${program} is missing). Install the package made for this platform.`,
    );
  }
  return program;
}
