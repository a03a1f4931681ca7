use std::{collections::BTreeSet, fmt::Write as _, fs, io, path::Path};

use base::Folders;
use serde_json::Value;

/// The settings that hold, the person's own before the workspace's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Config {
    /// Ghost text at all.
    pub completion_enabled: bool,
    /// Languages (by their LSP id) without ghost text.
    pub completion_disabled_languages: BTreeSet<String>,
    /// Whether the embedding model makes vectors in the background.
    pub index_vectors: bool,
    /// Whether an installed cross-encoder orders the best hits of a search anew.
    pub search_rerank: bool,
    /// Whether the chat model writes what an answer may look like before a search.
    pub search_expand: bool,
    /// Folders of documentation outside the workspace, as the person wrote them.
    pub docs_folders: Vec<String>,
    /// Most tokens of a chat answer; 0 leaves it to the model.
    pub chat_max_tokens: usize,
    /// Tokens of context that a model is loaded with.
    pub inference_context: usize,
    /// Threads of a model; 0 chooses by the machine.
    pub inference_threads: usize,
    /// Whether a loaded model may complete code left to right although it was not trained to fill
    /// in the middle.
    pub completion_any_model: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            completion_enabled: true,
            completion_disabled_languages: BTreeSet::new(),
            index_vectors: true,
            search_rerank: false,
            search_expand: false,
            docs_folders: Vec::new(),
            chat_max_tokens: 0,
            inference_context: 4096,
            inference_threads: 0,
            completion_any_model: false,
        }
    }
}

/// What an editor's own settings may say. They can come from a workspace, so nothing in them names
/// a program, a server or a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditorSettings {
    /// Ghost text at all; `None` leaves it to the settings files.
    pub completion_enabled: Option<bool>,
    /// Languages (by their LSP id) without ghost text.
    pub completion_disabled_languages: BTreeSet<String>,
}

impl EditorSettings {
    /// Reads `{"completion": {"enabled", "disabledLanguages"}}`, with or without a `hearth` around
    /// it; what does not fit is ignored.
    pub fn read(settings: &Value) -> Self {
        let settings = settings.get("hearth").unwrap_or(settings);
        let completion = settings.get("completion");
        let languages = completion.and_then(|it| it.get("disabledLanguages")?.as_array());
        Self {
            completion_enabled: completion.and_then(|it| it.get("enabled")?.as_bool()),
            completion_disabled_languages: languages
                .into_iter()
                .flatten()
                .filter_map(|language| language.as_str().map(str::to_owned))
                .collect(),
        }
    }
}

/// The strings of a list; `None` for anything else.
fn strings(value: &toml::Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|entry| Some(entry.as_str()?.to_owned())).collect()
}

/// Who may set something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The person's file only: it names a program, a server, a model or a place outside the workspace, or costs memory.
    Person,
    /// The workspace's file too.
    Anywhere,
}

/// One key of `hearth.toml`.
struct Setting {
    table: &'static str,
    key: &'static str,
    scope: Scope,
    default: &'static str,
    about: &'static str,
    /// Takes the value over; `None` for settings that another crate reads.
    apply: Option<fn(&mut Config, &toml::Value) -> Option<()>>,
}

const SETTINGS: &[Setting] = &[
    Setting {
        table: "completion",
        key: "enabled",
        scope: Scope::Anywhere,
        default: "true",
        about: "Show ghost text.",
        apply: Some(|config, value| {
            config.completion_enabled = value.as_bool()?;
            Some(())
        }),
    },
    Setting {
        table: "completion",
        key: "disabled_languages",
        scope: Scope::Anywhere,
        default: "[]",
        about: "Languages without ghost text, by their LSP id, such as `\"markdown\"`.",
        apply: Some(|config, value| {
            config.completion_disabled_languages.extend(strings(value)?);
            Some(())
        }),
    },
    Setting {
        table: "completion",
        key: "any_model",
        scope: Scope::Person,
        default: "false",
        about: "Let a chat model complete code from left to right when no model trained to fill in \
                the middle is installed. Small chat models do this badly.",
        apply: Some(|config, value| {
            config.completion_any_model = value.as_bool()?;
            Some(())
        }),
    },
    Setting {
        table: "index",
        key: "vectors",
        scope: Scope::Person,
        default: "true",
        about: "Let the embedding model make vectors of the code while nothing else is done, on \
                power only. Search by meaning works without them, less well.",
        apply: Some(|config, value| {
            config.index_vectors = value.as_bool()?;
            Some(())
        }),
    },
    Setting {
        table: "search",
        key: "rerank",
        scope: Scope::Person,
        default: "false",
        about: "Let a cross-encoder order the best forty hits anew, where one is installed \
                (`hearth models import FOLDER`). Costs a run of that model for each hit, once for \
                each question; in an editor, searches go without it until it is loaded. Neither \
                gain nor time was measured: docs/evaluation.md says how to do that with your model.",
        apply: Some(|config, value| {
            config.search_rerank = value.as_bool()?;
            Some(())
        }),
    },
    Setting {
        table: "search",
        key: "expand",
        scope: Scope::Person,
        default: "false",
        about: "Let the chat model write what an answer may look like, up to 96 tokens for each new \
                question, and look for what is near to that too. In an editor only while that model \
                is loaded. Neither gain nor time was measured: docs/evaluation.md says how to do \
                that with your model.",
        apply: Some(|config, value| {
            config.search_expand = value.as_bool()?;
            Some(())
        }),
    },
    Setting {
        table: "docs",
        key: "folders",
        scope: Scope::Person,
        default: "[]",
        about: "Folders of documentation outside the workspace, such as `\"~/docs/rust-book\"` or \
                `\"/usr/share/doc/python3\"`; `~/` is your home folder. `@docs` and `hearth search \
                --docs` look through them too, whatever their files are called. Each is indexed when \
                that is first asked for, and followed from then on; files that look secret, generated \
                or too large are left out as everywhere. `hearth status` names a folder that cannot \
                be used.",
        apply: Some(|config, value| {
            config.docs_folders = strings(value)?;
            Some(())
        }),
    },
    Setting {
        table: "chat",
        key: "max_tokens",
        scope: Scope::Anywhere,
        default: "0",
        about: "Longest answer of the chat in tokens; 0 leaves it to the model's size.",
        apply: Some(|config, value| {
            config.chat_max_tokens = usize::try_from(value.as_integer()?).ok()?;
            Some(())
        }),
    },
    Setting {
        table: "inference",
        key: "context",
        scope: Scope::Person,
        default: "4096",
        about: "Tokens of context that a model is loaded with, at least 512. More context costs \
                memory.",
        apply: Some(|config, value| {
            let context = usize::try_from(value.as_integer()?).ok()?;
            config.inference_context = Some(context).filter(|context| *context >= 512)?;
            Some(())
        }),
    },
    Setting {
        table: "inference",
        key: "threads",
        scope: Scope::Person,
        default: "0",
        about: "Threads of a model; 0 chooses by the machine's cores.",
        apply: Some(|config, value| {
            config.inference_threads = usize::try_from(value.as_integer()?).ok()?;
            Some(())
        }),
    },
    Setting {
        table: "models",
        key: "hub",
        scope: Scope::Person,
        default: "",
        about: "Address of the model hub, `https://…`, for `hearth models pull`.",
        apply: None,
    },
    Setting {
        table: "models",
        key: "python",
        scope: Scope::Person,
        default: "\"python3\"",
        about: "Python interpreter that prepares the default models, and with PyTorch trains adapters.",
        apply: None,
    },
    Setting {
        table: "models",
        key: "pipeline",
        scope: Scope::Person,
        default: "",
        about: "The folder `models` of a checkout of Hearth, as an absolute path: what `hearth models adapt \
                --adapter` trains with.",
        apply: None,
    },
    Setting {
        table: "models",
        key: "host",
        scope: Scope::Person,
        default: "",
        about: "A machine with a GPU, as `ssh` knows it, that `hearth models adapt --adapter` trains on.",
        apply: None,
    },
    Setting {
        table: "models",
        key: "host_python",
        scope: Scope::Person,
        default: "\"python3\"",
        about: "Python interpreter there, with PyTorch.",
        apply: None,
    },
];

impl Config {
    /// The settings of the person and of the workspace at `root`, with a sentence for everything
    /// that was not taken over.
    pub fn load(folders: &Folders, root: &Path) -> (Self, Vec<String>) {
        let (mut config, mut warnings) = (Self::default(), Vec::new());
        let workspace = root.join("hearth.toml");
        for (file, scope) in [(workspace, Scope::Anywhere), (folders.config_file(), Scope::Person)]
        {
            match fs::read_to_string(&file) {
                Ok(text) => config.apply(&text, scope, &file, &mut warnings),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => warnings.push(format!("cannot read {}: {error}", file.display())),
            }
        }
        (config, warnings)
    }

    /// Takes over what `scope` may set.
    fn apply(&mut self, text: &str, scope: Scope, file: &Path, warnings: &mut Vec<String>) {
        let file = file.display();
        let tables = match text.parse::<toml::Table>() {
            Ok(tables) => tables,
            Err(error) => {
                warnings.push(format!("{file} was left out: {}", error.message()));
                return;
            }
        };
        for (table, values) in &tables {
            let Some(values) = values.as_table() else {
                warnings.push(format!("{file}: `{table}` is not a table"));
                continue;
            };
            for (key, value) in values {
                let found = SETTINGS.iter().find(|it| it.table == table && it.key == key);
                let problem = match found {
                    None => "is not a setting",
                    Some(it) if it.scope == Scope::Person && scope != Scope::Person => {
                        "is only read from your own hearth.toml"
                    }
                    Some(it) => match it.apply {
                        Some(apply) if apply(self, value).is_none() => {
                            "has a value that does not fit"
                        }
                        _ => continue,
                    },
                };
                warnings.push(format!("{file}: `{table}.{key}` {problem}"));
            }
        }
    }

    /// `docs/configuration.md`.
    pub fn reference_markdown() -> String {
        let mut text = String::from(
            "# Configuration\n\n\
             Made from the settings in `server/assistant/src/config.rs` by `cargo xtask generate`.\n\n\
             Your own settings stand in `hearth.toml` in your configuration folder \
             (`~/.config/hearth/` on Linux, or `config/` under `HEARTH_HOME`). A workspace may have a \
             `hearth.toml` at its root; only the settings marked *anywhere* are read from it, and \
             yours come first. Nothing that names a program, a server, a model or a folder elsewhere is \
             ever read from a workspace, nor from an editor's settings.\n",
        );
        let mut table = "";
        for setting in SETTINGS {
            if setting.table != table {
                table = setting.table;
                let _ = write!(
                    text,
                    "\n## `[{table}]`\n\n| key | default | read from | what it does |\n|---|---|---|---|\n"
                );
            }
            let scope = match setting.scope {
                Scope::Person => "your file",
                Scope::Anywhere => "anywhere",
            };
            let default = match setting.default {
                "" => "–".to_owned(),
                value => format!("`{value}`"),
            };
            let _ =
                writeln!(text, "| `{}` | {default} | {scope} | {} |", setting.key, setting.about);
        }
        text.push_str(
            "\n## Environment\n\n| variable | what it does |\n|---|---|\n\
             | `HEARTH_HOME` | keeps configuration, data and caches under one folder |\n\
             | `HEARTH_LOG` | filter of the log on standard error, such as `debug` or `indexer=trace` |\n\
             \nThe settings of the VS Code extension (`hearth.*`) concern appearance and timing; they \
             are described in VS Code's own settings page.\n",
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_sets_harmless_things_only() {
        let settings = serde_json::json!({"hearth": {
            "completion": {"enabled": false, "disabledLanguages": ["markdown", 7]},
            "models": {"chat": "/tmp/evil.gguf"},
        }});
        let expected = EditorSettings {
            completion_enabled: Some(false),
            completion_disabled_languages: BTreeSet::from(["markdown".to_owned()]),
        };
        assert_eq!(EditorSettings::read(&settings), expected);
        assert_eq!(EditorSettings::read(&Value::Null), EditorSettings::default());
    }

    fn load(person: &str, workspace: &str) -> (Config, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::under(home.path());
        folders.config().unwrap();
        fs::write(folders.config_file(), person).unwrap();
        fs::write(root.path().join("hearth.toml"), workspace).unwrap();
        Config::load(&folders, root.path())
    }

    #[test]
    fn the_person_comes_before_the_workspace() {
        let (config, warnings) =
            load("[completion]\nenabled = true\n", "[completion]\nenabled = false\n");
        assert!(config.completion_enabled);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn a_workspace_names_no_server_program_model_or_folder() {
        let (config, warnings) = load(
            "",
            "[models]\nhub = \"https://evil.example\"\npython = \"./evil\"\nchat = \"evil.gguf\"\n\
             pipeline = \"/evil\"\nhost = \"evil.example\"\nhost_python = \"evil\"\n\
             [inference]\nthreads = 64\n[completion]\nany_model = true\n\
             [search]\nrerank = true\nexpand = true\n[docs]\nfolders = [\"/home\"]\n",
        );
        assert_eq!(config, Config::default());
        assert_eq!(warnings.len(), 11, "{warnings:?}");
    }

    #[test]
    fn the_person_names_folders_of_documentation() {
        let (config, warnings) = load("[docs]\nfolders = [\"~/book\", \"/doc\"]\n", "");
        assert_eq!(
            (config.docs_folders, warnings.len()),
            (vec!["~/book".into(), "/doc".into()], 0)
        );
        let (config, warnings) = load("[docs]\nfolders = [\"/doc\", 7]\n", "");
        assert_eq!((config.docs_folders.len(), warnings.len()), (0, 1));
    }

    #[test]
    fn only_the_person_has_models_asked_for_a_search() {
        let (config, warnings) = load("[search]\nrerank = true\nexpand = true\n", "");
        assert!(config.search_rerank && config.search_expand && warnings.is_empty());
        let (config, _) = load("", "");
        assert!(!config.search_rerank && !config.search_expand);
    }

    #[test]
    fn mistakes_are_named_and_leave_the_rest_alone() {
        let (config, warnings) = load(
            "[chat]\nmax_tokens = \"many\"\nmax_tokns = 3\n[inference]\ncontext = 8192\n",
            "not toml at all",
        );
        assert_eq!(config.inference_context, 8192);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings.iter().any(|warning| warning.contains("max_tokns")));
    }

    #[test]
    fn generated_configuration_reference_is_up_to_date() {
        let file = Path::new("../../docs/configuration.md");
        let expected = Config::reference_markdown();
        if std::env::var_os("HEARTH_GENERATE").is_some() {
            fs::write(file, &expected).unwrap();
        }
        let found = fs::read_to_string(file).unwrap_or_default();
        assert!(
            found == expected,
            "docs/configuration.md is out of date: run `cargo xtask generate`"
        );
    }
}
