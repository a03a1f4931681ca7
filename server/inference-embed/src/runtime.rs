//! Whether a file is an ONNX Runtime library that can be used, asked before `ort` loads it: `ort`
//! panics or waits for ever on one that it does not expect.

use std::{
    ffi::CStr,
    path::{Path, PathBuf},
};

use libloading::Library;
use ort::sys::{ORT_API_VERSION, OrtApiBase};
use thiserror::Error;

/// Why a library cannot be used.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// It cannot be loaded.
    #[error("cannot load the ONNX Runtime library {}: {reason}; run `hearth models verify`", path.display())]
    Unloadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It is another library.
    #[error("{} is not an ONNX Runtime library; run `hearth models pull default`", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is too old.
    #[error(
        "{} is ONNX Runtime {version}, and 1.{ORT_API_VERSION} or newer is needed; \
         run `hearth models pull default`",
        path.display()
    )]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
}

/// Loads the library and asks for its version, which is the answer. Code of the library runs, so this
/// belongs into the worker process too.
pub fn preflight(path: &Path) -> Result<String, RuntimeError> {
    let unloadable = |reason: String| RuntimeError::Unloadable { path: path.to_owned(), reason };
    if !path.is_file() {
        return Err(unloadable("there is no such file".into()));
    }
    // SAFETY: loading runs the library's initialisers. It is a file of the registry whose hash was
    // verified, or one that the person named, and this process holds nothing but the model.
    let library = unsafe { Library::new(path) }.map_err(|error| unloadable(error.to_string()))?;
    // SAFETY: a symbol of this name has this type in every ONNX Runtime since 1.0 (onnxruntime_c_api.h).
    let base =
        unsafe { library.get::<unsafe extern "C" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0") };
    let Ok(base) = base else { return Err(RuntimeError::Foreign { path: path.to_owned() }) };
    // SAFETY: the function takes nothing and returns a table of the library that lives as long as it.
    let base = unsafe { base() };
    // SAFETY: the pointer is null or points to that table, whose two functions never change.
    let Some(base) = (unsafe { base.as_ref() }) else {
        return Err(RuntimeError::Foreign { path: path.to_owned() });
    };
    // SAFETY: the function returns a static string that ends with a zero byte.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) };
    let version = version.to_string_lossy().into_owned();
    // SAFETY: the function returns null for a version that the library does not have.
    let api = unsafe { (base.GetApi)(ORT_API_VERSION) };
    if api.is_null() {
        return Err(RuntimeError::TooOld { path: path.to_owned(), version });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path, expected: &str) {
        let error = preflight(path).expect_err("not an ONNX Runtime").to_string();
        assert!(error.contains(expected) && error.contains("hearth models"), "{error}");
    }

    #[test]
    fn what_is_no_library_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("libonnxruntime.so");
        check(&path, "no such file");
        for content in [&b""[..], b"text", b"\x7fELF\x02\x01\x01 and then nothing"] {
            std::fs::write(&path, content).expect("written");
            check(&path, "cannot load the ONNX Runtime library");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn another_library_is_refused() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the map of this process");
        let libc = maps
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5))
            .find(|path| path.contains("/libc.so") || path.contains("/libc-"))
            .expect("this process has a C library");
        check(Path::new(libc), "is not an ONNX Runtime library");
    }
}
