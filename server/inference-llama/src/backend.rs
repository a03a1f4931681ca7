//! llama.cpp's process-wide state: initialisation and the way of its log.

use std::{
    ffi::{CStr, c_char, c_void},
    path::Path,
    sync::OnceLock,
};

use inference::{InferenceError, Progress};
use llama_cpp_2::{
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
};
use parking_lot::Mutex;

/// The last complaint of the library, so that an error can give the reason.
static COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// Initialises llama.cpp once per process; its log goes to `tracing`.
pub fn backend() -> Result<&'static LlamaBackend, InferenceError> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        // SAFETY: the callback takes only what it is given and lives as long as the program.
        unsafe {
            llama_cpp_sys_2::llama_log_set(Some(log), std::ptr::null_mut());
            llama_cpp_sys_2::ggml_log_set(Some(log), std::ptr::null_mut());
        }
        #[cfg(feature = "portable")]
        load_kernels();
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    backend.as_ref().map_err(|error| InferenceError::Engine(error.clone()))
}

/// The kernels for this CPU lie as libraries beside the program.
#[cfg(feature = "portable")]
fn load_kernels() {
    let program = std::env::current_exe().ok();
    match program.as_deref().and_then(Path::parent).filter(|folder| folder.to_str().is_some()) {
        Some(folder) => llama_cpp_2::llama_backend::load_backends_from_path(folder),
        None => llama_cpp_2::llama_backend::load_backends(),
    }
}

/// llama.cpp's description of the CPU kernels in use.
pub fn system_info() -> Result<String, InferenceError> {
    static INFO: OnceLock<String> = OnceLock::new();
    backend()?;
    let info = INFO.get_or_init(|| {
        // SAFETY: the library is initialised, and asked this once: it writes the description into a string of
        // its own, which a second call at the same time would break.
        let info = unsafe { CStr::from_ptr(llama_cpp_sys_2::llama_print_system_info()) };
        info.to_string_lossy().trim().to_owned()
    });
    Ok(info.clone())
}

/// Loads the weights, or the vocabulary alone.
pub fn load_model(
    path: &Path,
    vocabulary_only: bool,
    progress: &Progress,
) -> Result<LlamaModel, InferenceError> {
    let backend = backend()?;
    let refused = |reason: String| InferenceError::ModelFile { path: path.to_owned(), reason };
    if !path.is_file() {
        return Err(refused("there is no such file".into()));
    }
    let progress = progress.clone();
    // Weights whose layout is changed for the CPU's kernels are copied in any case: a mapped file
    // would stand in memory beside them.
    let params = LlamaModelParams::default()
        .with_use_mmap(false)
        .with_vocab_only(vocabulary_only)
        .with_progress_callback(move |_| {
            progress.step();
            true
        });
    COMPLAINT.lock().clear();
    LlamaModel::load_from_file(backend, path, &params).map_err(|error| {
        let complaint = std::mem::take(&mut *COMPLAINT.lock());
        let reason = if complaint.is_empty() { error.to_string() } else { complaint };
        if is_want_of_memory(&reason) {
            // Nothing is wrong with the file: the next try may succeed.
            return InferenceError::Engine(format!(
                "no memory for the model: {reason}; close other programs, or choose a smaller model"
            ));
        }
        refused(format!("{reason}; remove it and install it again, or choose another"))
    })
}

/// Whether the library complains of memory that it did not get.
fn is_want_of_memory(complaint: &str) -> bool {
    ["insufficient memory", "failed to allocate", "unable to allocate", "bad_alloc"]
        .iter()
        .any(|words| complaint.contains(words))
}

unsafe extern "C" fn log(
    level: llama_cpp_sys_2::ggml_log_level,
    text: *const c_char,
    _: *mut c_void,
) {
    if text.is_null() {
        return;
    }
    // SAFETY: the library passes a string that ends with a zero byte and outlives the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim();
    if text.is_empty() || text == "." {
        return;
    }
    match level {
        llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR => {
            // The first error says what is wrong; those after it, that something was.
            let mut complaint = COMPLAINT.lock();
            if complaint.is_empty() {
                text.clone_into(&mut complaint);
            }
            tracing::error!(target: "llama", "{text}");
        }
        llama_cpp_sys_2::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama", "{text}"),
        _ => tracing::debug!(target: "llama", "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_memory_is_told_from_a_bad_file() {
        for complaint in [
            "ggml_aligned_malloc: insufficient memory (attempted to allocate 136.40 MB)",
            "alloc_tensor_range: failed to allocate CPU buffer of size 1024",
            "llama_model_load: error loading model: unable to allocate CPU buffer",
        ] {
            assert!(is_want_of_memory(complaint), "{complaint}");
        }
        assert!(!is_want_of_memory("error loading model: unknown model architecture: 'x'"));
    }
}
