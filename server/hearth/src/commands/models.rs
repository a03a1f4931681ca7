use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use base::CancelToken;
use model_registry::{
    FileCheck, Hardware, ModelStatus, Progress, Recommendation, Registry, RegistryError, Role,
    State, Verification, WorkerConverter, gguf,
};
use serde::Serialize;

use super::adapt::{self, AdaptArgs};
use crate::{
    global::Global,
    output::{self, json, line, note},
};

/// What can be done with models.
#[derive(clap::Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    action: ModelsAction,
}

#[derive(clap::Subcommand)]
enum ModelsAction {
    #[command(flatten)]
    Registry(Action),
    /// Learn what is usual in a workspace and its dependencies, for better ghost text there
    Adapt(AdaptArgs),
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the models that are known, and how they stand
    List {
        /// Only those on this machine
        #[arg(long)]
        installed: bool,
    },
    /// Say which models suit this machine
    Recommend,
    /// Fetch models; `default` is everything that the default set-up needs
    Pull {
        /// Names of models, or `default`
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
    },
    /// Take a GGUF file, an adapter to one, or the folder of a cross-encoder in ONNX among the models
    Import {
        /// The file or folder
        file: PathBuf,
        /// Call it so, instead of by its own name
        #[arg(long)]
        id: Option<String>,
        /// The model that an adapter (LoRA) is merged into [default: the installed one that it names]
        #[arg(long, value_name = "FILE")]
        base: Option<PathBuf>,
    },
    /// Compare every byte with what was installed
    Verify {
        /// Names of models [default: all that are installed]
        #[arg(value_name = "MODEL")]
        models: Vec<String>,
    },
    /// Remove models from this machine
    Remove {
        /// Names of models
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
    },
    /// Use a model from now on
    Use {
        /// Its name
        model: String,
        /// For what: completion, chat, edit, embedding or rerank [default: all that it is made for]
        #[arg(long, value_name = "ROLE")]
        role: Vec<Role>,
    },
}

/// Runs the command.
pub fn run(args: ModelsArgs, global: &Global) -> Result<ExitCode> {
    let action = match args.action {
        ModelsAction::Adapt(args) => return adapt::run(&args, global),
        ModelsAction::Registry(action) => action,
    };
    match act(action, global) {
        Err(error) => match error.downcast_ref::<RegistryError>() {
            Some(RegistryError::Cancelled) => {
                note("interrupted; the same command continues");
                Ok(ExitCode::from(output::INTERRUPTED))
            }
            Some(missing) if missing.is_missing_component() => {
                output::report(&error);
                Ok(ExitCode::from(output::MISSING))
            }
            _ => Err(error),
        },
        done => done,
    }
}

fn act(action: Action, global: &Global) -> Result<ExitCode> {
    let registry = Registry::open(&Global::folders()?)?.offline(global.offline);
    let cancel = Global::interruptible();
    match action {
        Action::List { installed } => {
            let mut models = registry.list();
            models.retain(|model| !installed || model.path.is_some());
            if global.json { json(&models)? } else { table(&models)? }
        }
        Action::Recommend => recommend(&registry, global)?,
        Action::Pull { models } => return pull(&registry, &models, global, &cancel),
        Action::Import { file, id, base } => {
            let (shown, id) = (Shown::default(), id.as_deref());
            let model =
                if base.is_some() || gguf::inspect(&file).is_ok_and(|it| it.adapter.is_some()) {
                    let files = (file.as_path(), base.as_deref());
                    registry.import_adapter(files, id, &converter()?, &cancel, &mut shown.sink())
                } else {
                    registry.import(&file, id, &cancel, &mut shown.sink())
                };
            output::progress_done();
            let model = model?;
            note(&format!("imported {} with the SHA-256 {}", model.id, model.sha256));
            answer(&registry, &[model.id], global)?;
        }
        Action::Verify { models } => return verify(&registry, models, global, &cancel),
        Action::Remove { models } => {
            for model in &models {
                registry.remove(model)?;
                note(&format!("removed {model}"));
            }
            answer(&registry, &models, global)?;
        }
        Action::Use { model, role } => {
            let roles = if role.is_empty() { registry.installed(&model)?.roles } else { role };
            for role in roles {
                registry.use_model(&model, role)?;
                note(&format!("{model} is now used for {role}"));
            }
            answer(&registry, &[model], global)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What makes GGUF files of others: this program as a worker.
pub(super) fn converter() -> Result<WorkerConverter> {
    let engine = inference_llama::ENGINE_VERSION.to_owned();
    Ok(WorkerConverter { program: Global::program()?, engine })
}

/// Fetches models, telling how far it is.
fn pull(
    registry: &Registry,
    models: &[String],
    global: &Global,
    cancel: &CancelToken,
) -> Result<ExitCode> {
    let converter = converter()?;
    let mut wanted = Vec::new();
    for model in models {
        match model.as_str() {
            "default" => wanted.extend(registry.defaults()),
            _ => wanted.push(model.clone()),
        }
    }
    let mut failed = None;
    for id in &wanted {
        let (start, shown) = (Instant::now(), Shown::default());
        let pulled = registry.pull(id, Some(&converter), cancel, &mut shown.sink());
        output::progress_done();
        let model = match pulled {
            Ok(model) => model,
            Err(RegistryError::Cancelled) => return Err(RegistryError::Cancelled.into()),
            // What one model lacks, another may have: the rest is still fetched.
            Err(error) => {
                note(&format!("{id}: {error}"));
                failed = failed.or(Some(error));
                continue;
            }
        };
        let size = megabytes(model.bytes);
        if shown.worked() {
            let seconds = start.elapsed().as_secs_f32();
            note(&format!("{id}: {size} in {seconds:.1} s, SHA-256 {}", model.sha256));
        } else {
            note(&format!("{id}: {size}, already here"));
        }
    }
    answer(registry, &wanted, global)?;
    match failed {
        None => Ok(ExitCode::SUCCESS),
        Some(error) if error.is_missing_component() => Ok(ExitCode::from(output::MISSING)),
        Some(_) => Ok(ExitCode::FAILURE),
    }
}

fn verify(
    registry: &Registry,
    mut models: Vec<String>,
    global: &Global,
    cancel: &CancelToken,
) -> Result<ExitCode> {
    #[derive(Serialize)]
    struct Verified {
        #[serde(flatten)]
        status: ModelStatus,
        ok: bool,
        advice: Option<String>,
        files: Vec<FileCheck>,
    }
    if models.is_empty() {
        let installed = registry.list().into_iter().filter(|model| model.path.is_some());
        models = installed.map(|model| model.id).collect();
    }
    let mut verified = Vec::new();
    for model in &models {
        let shown = Shown::default();
        let verification = registry.verify(model, cancel, &mut shown.sink());
        output::progress_done();
        let verification = verification?;
        note(&match &verification.advice {
            None => format!("{model}: every byte is right"),
            Some(advice) => format!("{model}: damaged; {advice}"),
        });
        let status = registry.list().into_iter().find(|status| status.id == *model);
        let Verification { ok, advice, files, .. } = verification;
        verified.extend(status.map(|status| Verified { status, ok, advice, files }));
    }
    let sound = verified.iter().all(|model| model.ok);
    if global.json {
        json(&verified)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn recommend(registry: &Registry, global: &Global) -> Result<()> {
    /// A model in the shape of the other commands, and why it is this one. Without a model there is
    /// only the role and the reason.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Suggested {
        recommended_for: Role,
        memory: u64,
        reason: String,
        command: Option<String>,
        #[serde(flatten)]
        status: Option<ModelStatus>,
    }
    let hardware = Hardware::measure();
    let recommended = registry.recommend(&hardware);
    if global.json {
        let list = registry.list();
        let find = |id: &Option<String>| list.iter().find(|status| Some(&status.id) == id.as_ref());
        let recommended: Vec<_> = recommended
            .into_iter()
            .map(|Recommendation { role, id, memory, reason, command, .. }| Suggested {
                recommended_for: role,
                memory,
                reason,
                command,
                status: find(&id).cloned(),
            })
            .collect();
        return json(&recommended);
    }
    line(&format!(
        "This machine: {} of memory, {} of it free, {} cores ({})",
        megabytes(hardware.memory),
        megabytes(hardware.available),
        hardware.cores,
        hardware.features.join(" ")
    ))?;
    for recommendation in recommended {
        let Recommendation { role, id, memory, reason, command, .. } = recommendation;
        match id {
            None => line(&format!("{role:<11} none: {reason}"))?,
            Some(id) => {
                line(&format!("{role:<11} {id} ({} in memory) {reason}", megabytes(memory)))?;
            }
        }
        if let Some(command) = command {
            line(&format!("{:<11} {command}", ""))?;
        }
    }
    Ok(())
}

/// Prints how these models stand now.
fn answer(registry: &Registry, ids: &[String], global: &Global) -> Result<()> {
    if !global.json {
        return Ok(());
    }
    let mut models = registry.list();
    models.retain(|model| ids.contains(&model.id));
    json(&models)
}

fn table(models: &[ModelStatus]) -> Result<()> {
    let width = models.iter().map(|model| model.id.len()).max().unwrap_or(0);
    for model in models {
        let state = match model.state {
            State::Available => "-".to_owned(),
            State::Partial => "partly downloaded".to_owned(),
            State::Installed if model.workspace.is_some() => "for one workspace".to_owned(),
            State::Installed if model.used_for.is_empty() => "installed".to_owned(),
            State::Installed => format!("used for {}", names(&model.used_for)),
            State::Outdated => "installed, an update is there".to_owned(),
            State::Damaged => {
                format!("damaged: {}", model.problem.as_deref().unwrap_or("unknown"))
            }
        };
        line(&format!(
            "{:<width$}  {:>9}  {:<7}  {:<16}  {:<18}  {state}",
            model.id,
            megabytes(model.bytes),
            model.quantization.as_deref().unwrap_or(""),
            names(&model.roles),
            model.license.as_deref().unwrap_or(""),
        ))?;
    }
    Ok(())
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}

fn megabytes(bytes: u64) -> String {
    if bytes >= 10_000_000_000 {
        format!("{:.1} GB", bytes as f64 / 1e9)
    } else {
        format!("{} MB", bytes.div_ceil(1_000_000))
    }
}

/// Shows progress on one line of the terminal, a few times a second.
#[derive(Default)]
struct Shown {
    last: std::cell::Cell<Option<Instant>>,
}

impl Shown {
    /// Whether there was anything to do.
    fn worked(&self) -> bool {
        self.last.get().is_some()
    }

    fn sink(&self) -> impl FnMut(Progress<'_>) {
        |progress| {
            let now = Instant::now();
            if self.last.get().is_some_and(|last| now.duration_since(last).as_millis() < 100) {
                return;
            }
            self.last.set(Some(now));
            let Progress { id, step, done, total } = progress;
            let step = step.as_str();
            output::progress(&match total {
                Some(total) if total > 0 => {
                    let percent = done.min(total) * 100 / total;
                    let total = megabytes(total);
                    format!("{id}: {step} {percent} % of {total}")
                }
                _ if done > 0 => format!("{id}: {step} {}", megabytes(done)),
                _ => format!("{id}: {step}"),
            });
        }
    }
}
