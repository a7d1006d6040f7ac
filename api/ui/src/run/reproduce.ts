// How to run a run again, from the tags in which trainers tell their code and surroundings.

type Tags = ReadonlyMap<string, string>;

/** A word as a shell takes it literally. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/** The web address of a repository, from any address that git takes; undefined where it is none of the web. */
export function repositoryPage(url: string): string | undefined {
  const trimmed = url.trim().replace(/#.*$/, "");
  const found = /^(?:https?:\/\/(?:[^@/\s]*@)?|ssh:\/\/(?:[^@/\s]*@)?|git:\/\/|[\w.-]+@)([\w.-]+)(?::\d+)?[:/]+([^\s?]+?)(?:\.git)?\/?$/.exec(trimmed);
  return found?.[1]?.includes(".") && found[2] ? `https://${found[1]}/${found[2]}` : undefined;
}

/** The page of a commit at its host. */
export function commitPage(url: string, commit: string): string | undefined {
  const page = repositoryPage(url);
  if (!page || !/^[0-9a-fA-F]{4,64}$/.test(commit)) return undefined;
  const host = new URL(page).host;
  const part = host.startsWith("gitlab.") ? "-/commit" : host.startsWith("bitbucket.") ? "commits" : "commit";
  return `${page}/${part}/${commit}`;
}

export interface Recipe {
  lines: readonly string[];
  /** What a person should know before they trust the lines. */
  warnings: readonly string[];
}

/** The lines that run a run again. packages: the address of the list of its packages. Undefined where nothing is known. */
export function recipe(tags: Tags, packages: string | undefined): Recipe | undefined {
  const repository = tags.get("mlflow.source.git.repoURL") ?? tags.get("mlflow.project.repoURL");
  const commit = tags.get("mlflow.source.git.commit");
  const source = tags.get("mlflow.source.name") ?? "";
  const kind = tags.get("mlflow.source.type");
  const recorded = tags.get("headrace.command");
  const warnings: string[] = [];
  if (kind === "PROJECT" && source) {
    const entry = tags.get("mlflow.project.entryPoint");
    const words = ["mlflow", "run", source, ...(entry ? ["-e", entry] : []), ...(commit && !source.startsWith("/") ? ["-v", commit] : [])];
    return { lines: [words.map(quoted).join(" ")], warnings: ["The parameters are those of the run: give each with -P."] };
  }
  const command = recorded ?? (source && kind !== "NOTEBOOK" ? `python ${quoted(source)}` : undefined);
  if (!command && !commit) return undefined;
  const lines: string[] = [];
  if (repository) {
    const folder = repository.replace(/\/+$/, "").replace(/\.git$/, "").split(/[/:]/).pop() ?? "";
    lines.push(`git clone ${quoted(repository)}${folder ? ` && cd ${quoted(folder)}` : ""}`);
  }
  if (commit) lines.push(`git checkout ${quoted(commit)}`);
  const within = tags.get("headrace.folder");
  if (within && within !== ".") lines.push(`cd ${quoted(within)}`);
  if (packages) lines.push(`curl -sO ${quoted(packages)} && pip install -r requirements.txt`);
  if (command) lines.push(command);
  if (tags.get("mlflow.source.git.dirty") === "true") warnings.push("The code had changes that were not committed.");
  if (command && !recorded) warnings.push("The arguments of the command were not recorded.");
  if (!command) warnings.push("What was run was a notebook, or was not recorded.");
  if (recorded?.includes("[hidden]")) warnings.push("Secrets among the arguments are left out.");
  return { lines, warnings };
}
