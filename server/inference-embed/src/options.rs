use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// What a worker process for embeddings or for a cross-encoder is asked to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Folder with `model.onnx`, `tokenizer.json`, `config.json`, `special_tokens_map.json` and
    /// `tokenizer_config.json`.
    pub model: PathBuf,
    /// The ONNX Runtime library.
    pub runtime: PathBuf,
    /// Threads of one computation; absent for half of the processor's.
    pub threads: Option<usize>,
}

impl Options {
    /// Reads the arguments behind `worker`: `--embedding` or `--reranker`, of which the caller takes note,
    /// `--model DIR --runtime FILE [--threads N]`.
    /// The error is a sentence for the log.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--embedding" | "--reranker" => {}
                "--model" => options.model = value()?.into(),
                "--runtime" => options.runtime = value()?.into(),
                "--threads" => options.threads = Some(number(&name, &value()?)?),
                _ => return Err(format!("`{name}` is no argument of a worker on ONNX Runtime")),
            }
        }
        if options.model.as_os_str().is_empty() || options.runtime.as_os_str().is_empty() {
            return Err("a worker on ONNX Runtime needs --model DIR and --runtime FILE".into());
        }
        Ok(options)
    }

    /// Threads of one computation. Half of what there is, because the editor needs the rest.
    pub(crate) fn threads(&self) -> usize {
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or(all.div_ceil(2)).clamp(1, all)
    }
}

fn number(name: &str, value: &OsStr) -> Result<usize, String> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.filter(|number| *number > 0).ok_or_else(|| format!("{name} needs a positive number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_come_in_any_order() {
        let options = parse(&["--model", "m", "--embedding", "--threads", "1", "--runtime", "lib"]);
        let expected = Options { model: "m".into(), runtime: "lib".into(), threads: Some(1) };
        assert_eq!(options, Ok(expected.clone()));
        assert_eq!(expected.threads(), 1);
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (arguments, named) in [
            (&["--embedding", "--model", "m"] as &[&str], "--runtime"),
            (&["--model"], "--model needs a value"),
            (&["--threads", "0"], "positive"),
            (&["--context", "1"], "--context"),
        ] {
            let error = parse(arguments).expect_err("refused");
            assert!(error.contains(named), "{error}");
        }
    }
}
