//! The arguments of `hearth worker`, as far as they concern this engine.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use inference::InferenceError;

use crate::{LlamaOptions, Quantization, Vocabulary, merge, perplexity, quantize};

/// What a worker process is asked to do.
#[derive(Debug)]
pub enum Task {
    /// Serve the model to the parent: `--model PATH [--id NAME] [--context N] [--threads N]`.
    Serve(LlamaOptions),
    /// Do one thing and end.
    Once(Once),
}

/// A task that ends by itself.
#[derive(Debug)]
pub enum Once {
    /// `--quantize SOURCE TARGET TYPE`
    Quantize(PathBuf, PathBuf, Quantization),
    /// `--merge BASE ADAPTER TARGET`
    Merge(PathBuf, PathBuf, PathBuf),
    /// `--perplexity MODEL TEXTFILE`
    Perplexity(PathBuf, PathBuf),
    /// `--check MODEL`: can its vocabulary be read?
    Check(PathBuf),
}

impl Task {
    /// Reads the arguments behind `worker`. The error is a sentence for the log.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let mut options = LlamaOptions::new(PathBuf::new());
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--model" => options.model = value()?.into(),
                "--id" => options.id = Some(value()?.to_string_lossy().into_owned()),
                "--context" => options.context = Some(number(&name, &value()?)?),
                "--threads" => options.threads = Some(number(&name, &value()?)?),
                "--quantize" => {
                    let (source, target, kind) = (value()?, value()?, value()?);
                    let kind = kind.to_string_lossy().parse()?;
                    return Ok(Self::Once(Once::Quantize(source.into(), target.into(), kind)));
                }
                "--merge" => {
                    let (base, adapter, target) = (value()?, value()?, value()?);
                    return Ok(Self::Once(Once::Merge(base.into(), adapter.into(), target.into())));
                }
                "--perplexity" => {
                    return Ok(Self::Once(Once::Perplexity(value()?.into(), value()?.into())));
                }
                "--check" => return Ok(Self::Once(Once::Check(value()?.into()))),
                _ => return Err(format!("`{name}` is no argument of a worker")),
            }
        }
        if options.model.as_os_str().is_empty() {
            return Err("a worker needs --model PATH".into());
        }
        Ok(Self::Serve(options))
    }
}

impl Once {
    /// Does it: what is to be printed.
    pub fn run(&self) -> Result<String, InferenceError> {
        match self {
            Self::Quantize(source, target, kind) => {
                quantize(source, target, *kind).map(|()| String::new())
            }
            Self::Merge(base, adapter, target) => {
                merge(base, adapter, target).map(|()| String::new())
            }
            Self::Perplexity(model, text) => {
                perplexity(model, &read(text)?).map(|perplexity| perplexity.to_string())
            }
            Self::Check(model) => Vocabulary::load(model).map(|_| String::new()),
        }
    }
}

fn number(name: &str, value: &OsStr) -> Result<usize, String> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{name} needs a number"))
}

fn read(path: &Path) -> Result<String, InferenceError> {
    std::fs::read_to_string(path)
        .map_err(|error| InferenceError::Engine(format!("cannot read {}: {error}", path.display())))
}
