use std::{env, fmt::Write as _, path::Path, process::ExitCode};

use anyhow::Result;
use assistant::{Config, LoadSettings};
use base::CancelToken;
use inference::LanguageModel as _;
use model_registry::{Hardware, Registry, Role, State};
use serde::Serialize;

use crate::{global::Global, output};

/// Arguments of `hearth doctor`.
#[derive(clap::Args)]
pub struct DoctorArgs {}

/// How one thing stands.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Good,
    Worse,
    Broken,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    health: Health,
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    checks: Vec<Check>,
}

impl Check {
    fn good(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, health: Health::Good, detail: detail.into(), remedy: None }
    }

    fn worse(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, health: Health::Worse, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn broken(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, health: Health::Broken, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// Looks at what Hearth needs on this machine. Fails when something is broken, not when something
/// could be better.
pub fn run(_args: &DoctorArgs, global: &Global) -> Result<ExitCode> {
    let registry = Registry::open(&Global::folders()?)?.offline(true);
    let mut checks = vec![program(), folders(), memory()];
    checks
        .extend([Role::Chat, Role::Completion, Role::Embedding].map(|role| model(&registry, role)));
    checks.push(kernels(&registry)?);
    #[cfg(target_os = "linux")]
    checks.push(watches());
    let report = Report { version: env!("CARGO_PKG_VERSION"), checks };
    let broken = report.checks.iter().any(|check| check.health == Health::Broken);
    if global.json {
        output::json(&report)?;
    } else {
        output::write(&shown(&report))?;
    }
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn shown(report: &Report) -> String {
    let mut text = format!("hearth {}\n", report.version);
    for check in &report.checks {
        let mark = match check.health {
            Health::Good => "ok  ",
            Health::Worse => "note",
            Health::Broken => "FAIL",
        };
        let _ = writeln!(text, "{mark}  {:<17}  {}", check.name, check.detail);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(text, "      → {remedy}");
        }
    }
    text
}

fn program() -> Check {
    match Global::program() {
        Ok(path) => Check::good("program", path.display().to_string()),
        Err(error) => Check::broken("program", format!("{error:#}"), "install Hearth again"),
    }
}

fn folders() -> Check {
    let writable = |folder: &Path| base::write_atomic(&folder.join(".doctor"), b"written");
    let data = Global::folders().and_then(|folders| Ok(folders.data()?));
    let data = match data {
        Ok(data) => data,
        Err(error) => {
            return Check::broken(
                "data folder",
                format!("{error:#}"),
                "set HEARTH_HOME to a folder of yours",
            );
        }
    };
    match writable(&data) {
        Ok(()) => {
            // What was written to try is not worth keeping; a leftover does no harm.
            let _ = std::fs::remove_file(data.join(".doctor"));
            Check::good("data folder", data.display().to_string())
        }
        Err(error) => Check::broken(
            "data folder",
            format!("{} cannot be written: {error}", data.display()),
            "free space or make it writable, or set HEARTH_HOME to another folder",
        ),
    }
}

fn memory() -> Check {
    let hardware = Hardware::measure();
    let (total, available) = (hardware.memory / 1_000_000, hardware.available / 1_000_000);
    let detail = format!(
        "{available} of {total} MB free, {} cores, {}",
        hardware.cores,
        hardware.features.join(" ")
    );
    if available < 1_000 {
        return Check::worse("memory", detail, "close other programs, or use a small model");
    }
    Check::good("memory", detail)
}

fn model(registry: &Registry, role: Role) -> Check {
    let name = match role {
        Role::Completion => "completion model",
        Role::Embedding => "embedding model",
        _ => "chat model",
    };
    match registry.find(role) {
        Ok(installed) => {
            let state = registry.list().into_iter().find(|status| status.id == installed.id);
            match state.map(|status| status.state) {
                Some(State::Damaged) => Check::broken(
                    name,
                    format!("{} is not as it was when it was verified", installed.path.display()),
                    format!("hearth models pull {}", installed.id),
                ),
                _ => Check::good(
                    name,
                    format!("{} ({} MB)", installed.id, installed.bytes / 1_000_000),
                ),
            }
        }
        Err(_) if role == Role::Completion => Check::good(
            name,
            "none: ghost text comes from the workspace's own code, in milliseconds",
        ),
        Err(error) => Check::worse(name, error.to_string(), "hearth models pull default"),
    }
}

/// Asks a worker which kernels llama.cpp chose: the engine itself knows best.
fn kernels(registry: &Registry) -> Result<Check> {
    const NAME: &str = "cpu kernels";
    let settings = LoadSettings::from(&Config::default());
    let Ok(installed) = registry.find(Role::Chat) else {
        return Ok(Check::worse(
            NAME,
            "known once a model can be loaded",
            "hearth models pull default",
        ));
    };
    let model = assistant::language_model(&Global::program()?, &installed, settings);
    let cancel = CancelToken::new();
    Ok(match model.load(&cancel) {
        Err(error) => Check::broken(NAME, error.to_string(), "hearth models verify"),
        Ok(info) if !has_simd(&info.system_info) => Check::worse(
            NAME,
            format!("no SIMD: {}", info.system_info),
            "build again without SOURCE_DATE_EPOCH in the environment",
        ),
        Ok(info) => Check::good(NAME, info.system_info.clone()),
    })
}

fn has_simd(system_info: &str) -> bool {
    ["AVX = 1", "AVX2 = 1", "NEON = 1", "AVX512 = 1"].iter().any(|flag| system_info.contains(flag))
}

/// How many folders can be watched.
#[cfg(target_os = "linux")]
fn watches() -> Check {
    const NAME: &str = "watched folders";
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    match limit {
        Some(limit) if limit < 8192 => Check::worse(
            NAME,
            format!("at most {limit}; large workspaces are polled instead"),
            "raise fs.inotify.max_user_watches",
        ),
        Some(limit) => Check::good(NAME, format!("at most {limit}")),
        None => Check::worse(NAME, "the limit is unknown", "changes may be noticed late"),
    }
}
