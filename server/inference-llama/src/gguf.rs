//! GGUF files through ggml's own reader and writer: metadata, and tensors as 32-bit numbers.

use std::{
    ffi::{CStr, CString, c_void},
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    ptr::{self, NonNull},
};

use inference::InferenceError;
use llama_cpp_sys_2 as sys;

use crate::backend::backend;

/// An opened file; its tensors are read piece by piece.
pub struct Gguf {
    path: PathBuf,
    file: File,
    context: Context,
    /// Owns the descriptions of the tensors.
    descriptions: NonNull<sys::ggml_context>,
    /// In the file's order.
    pub tensors: Vec<Tensor>,
}

/// A tensor as the file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub kind: sys::ggml_type,
    /// Lengths of the dimensions, numbers of a row first; at least one.
    pub shape: Vec<usize>,
    /// Where its contents begin in the file.
    offset: u64,
}

impl Tensor {
    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Rows in all, whatever the dimensions.
    pub fn rows(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

impl Gguf {
    /// Opens a file whose header was checked.
    pub fn open(path: &Path) -> Result<Self, InferenceError> {
        // Also takes the library's complaints to the log.
        backend()?;
        let unreadable = |error: io::Error| refused(path, &format!("it cannot be read: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        let text = path.to_str().and_then(|text| CString::new(text).ok());
        let c_path = text.ok_or_else(|| refused(path, "its path is not plain text"))?;
        let mut descriptions = ptr::null_mut();
        let params = sys::gguf_init_params { no_alloc: true, ctx: &raw mut descriptions };
        // SAFETY: path and parameters outlive the call.
        let context = unsafe { sys::gguf_init_from_file(c_path.as_ptr(), params) };
        let context = NonNull::new(context).map(Context);
        let (Some(context), Some(descriptions)) = (context, NonNull::new(descriptions)) else {
            return Err(refused(path, "it is no whole GGUF file; get it again"));
        };
        let mut opened =
            Self { path: path.to_owned(), file, context, descriptions, tensors: Vec::new() };
        opened.tensors = opened.describe();
        Ok(opened)
    }

    fn describe(&self) -> Vec<Tensor> {
        let context = self.context.0.as_ptr();
        // SAFETY: the context lives, and the numbers are below the count that it states.
        unsafe {
            let start = sys::gguf_get_data_offset(context);
            let each = 0..sys::gguf_get_n_tensors(context);
            each.map(|at| {
                let lengths = *sys::gguf_get_tensor_ne(context, at).cast::<[i64; 4]>();
                let used =
                    lengths.iter().rposition(|length| *length != 1).map_or(1, |last| last + 1);
                Tensor {
                    name: string(sys::gguf_get_tensor_name(context, at)),
                    kind: sys::gguf_get_tensor_type(context, at),
                    shape: lengths.iter().take(used).map(|length| *length as usize).collect(),
                    offset: (start + sys::gguf_get_tensor_offset(context, at)) as u64,
                }
            })
            .collect()
        }
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The place of a key with a value of this type.
    fn find(&self, key: &str, kind: sys::gguf_type) -> Option<i64> {
        let (context, key) = (self.context.0.as_ptr(), CString::new(key).ok()?);
        // SAFETY: the context lives, and a place that was found is one that it has.
        unsafe {
            let at = sys::gguf_find_key(context, key.as_ptr());
            (at >= 0 && sys::gguf_get_kv_type(context, at) == kind).then_some(at)
        }
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> Option<String> {
        let at = self.find(key, sys::GGUF_TYPE_STRING)?;
        // SAFETY: the value is a string, which the context keeps.
        Some(unsafe { string(sys::gguf_get_val_str(self.context.0.as_ptr(), at)) })
    }

    /// A 32-bit float of the metadata.
    pub fn float(&self, key: &str) -> Option<f32> {
        let at = self.find(key, sys::GGUF_TYPE_FLOAT32)?;
        // SAFETY: the value is of this type.
        Some(unsafe { sys::gguf_get_val_f32(self.context.0.as_ptr(), at) })
    }

    /// A 32-bit number of the metadata.
    pub fn number(&self, key: &str) -> Option<u32> {
        let at = self.find(key, sys::GGUF_TYPE_UINT32)?;
        // SAFETY: the value is of this type.
        Some(unsafe { sys::gguf_get_val_u32(self.context.0.as_ptr(), at) })
    }

    /// An array of numbers of the metadata; `kind` is the type in the file, whose numbers are `T`.
    fn array<T: Copy>(&self, key: &str, kind: sys::gguf_type) -> Option<Vec<T>> {
        let at = self.find(key, sys::GGUF_TYPE_ARRAY)?;
        let context = self.context.0.as_ptr();
        // SAFETY: the value is an array of numbers of this type, that long. Nothing says that they are aligned.
        unsafe {
            if sys::gguf_get_arr_type(context, at) != kind {
                return None;
            }
            let first = sys::gguf_get_arr_data(context, at).cast::<T>();
            let each = 0..sys::gguf_get_arr_n(context, at);
            Some(each.map(|at| first.add(at).read_unaligned()).collect())
        }
    }

    /// An array of 32-bit floats of the metadata.
    pub fn floats(&self, key: &str) -> Option<Vec<f32>> {
        self.array(key, sys::GGUF_TYPE_FLOAT32)
    }

    /// An array of 32-bit integers of the metadata.
    pub fn integers(&self, key: &str) -> Option<Vec<i32>> {
        self.array(key, sys::GGUF_TYPE_INT32)
    }

    /// Some rows of a tensor as 32-bit floats, dequantised by ggml.
    pub fn rows(
        &self,
        tensor: &Tensor,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>, InferenceError> {
        let width = tensor.width();
        // SAFETY: the type is one that ggml's own reader accepted, whose rows are whole blocks.
        let (row_bytes, to_float) = unsafe {
            let traits = *sys::ggml_get_type_traits(tensor.kind);
            (sys::ggml_row_size(tensor.kind, width as i64), traits.to_float)
        };
        // Numbers of eight bytes, so that blocks are aligned as their fields need it.
        let length = row_bytes * count;
        let mut bytes = vec![0_u64; length.div_ceil(8)];
        // SAFETY: any bytes are numbers.
        let part =
            unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<u8>(), length) };
        let mut file = &self.file;
        file.seek(SeekFrom::Start(tensor.offset + (first * row_bytes) as u64))
            .and_then(|_| file.read_exact(part))
            .map_err(|error| refused(&self.path, &format!("{}: {error}", tensor.name)))?;
        let mut numbers = vec![0.0_f32; width * count];
        match to_float {
            // SAFETY: the bytes are `count` rows of the tensor's type, the numbers as many as they hold.
            Some(to_float) => unsafe {
                to_float(
                    bytes.as_ptr().cast::<c_void>(),
                    numbers.as_mut_ptr(),
                    (width * count) as i64,
                );
            },
            None if tensor.kind == sys::GGML_TYPE_F32 => {
                for (number, bytes) in numbers.iter_mut().zip(part.as_chunks::<4>().0) {
                    *number = f32::from_le_bytes(*bytes);
                }
            }
            None => {
                let reason = format!("{} has a type that is no weight's", tensor.name);
                return Err(refused(&self.path, &reason));
            }
        }
        Ok(numbers)
    }

    /// Every number of a tensor.
    pub fn numbers(&self, tensor: &Tensor) -> Result<Vec<f32>, InferenceError> {
        self.rows(tensor, 0, tensor.rows())
    }
}

impl Drop for Gguf {
    fn drop(&mut self) {
        // SAFETY: nothing else frees it, and nothing that lives longer points into it.
        unsafe { sys::ggml_free(self.descriptions.as_ptr()) };
    }
}

/// The head of a file to be written: metadata and descriptions of tensors.
pub struct Head(Context);

impl Head {
    /// With the metadata of `source`, less what begins with one of `left_out`.
    pub fn of(source: &Gguf, left_out: &[&str]) -> Self {
        // SAFETY: both contexts live; keys are removed by names that the new one states.
        unsafe {
            let context = NonNull::new(sys::gguf_init_empty()).expect("C++'s `new` gives no null");
            let head = Self(Context(context));
            sys::gguf_set_kv(context.as_ptr(), source.context.0.as_ptr());
            let each = 0..sys::gguf_get_n_kv(context.as_ptr());
            let keys: Vec<CString> = each
                .map(|at| CStr::from_ptr(sys::gguf_get_key(context.as_ptr(), at)).to_owned())
                .collect();
            for key in keys {
                let begins = |start: &&str| key.to_bytes().starts_with(start.as_bytes());
                if left_out.iter().any(begins) {
                    sys::gguf_remove_key(context.as_ptr(), key.as_ptr());
                }
            }
            head
        }
    }

    /// Adds a text; one with a zero byte ends there.
    pub fn text(&mut self, key: &CStr, text: &str) {
        let plain = text.split('\0').next().unwrap_or_default();
        let text = CString::new(plain).expect("it has no zero byte");
        // SAFETY: the context copies both.
        unsafe { sys::gguf_set_val_str(self.0.0.as_ptr(), key.as_ptr(), text.as_ptr()) };
    }

    /// Adds a number.
    pub fn number(&mut self, key: &CStr, number: u32) {
        // SAFETY: the context copies the key.
        unsafe { sys::gguf_set_val_u32(self.0.0.as_ptr(), key.as_ptr(), number) };
    }

    /// Adds all tensors of `source`, in its order: matrices with 16 bits a number, vectors with 32. Gives
    /// the type of each.
    pub fn tensors(&mut self, source: &Gguf) -> Vec<sys::ggml_type> {
        let mut kinds = Vec::new();
        // SAFETY: the descriptions live as long as `source`; the context copies them. Every number of a row
        // stands for itself in both types, so any row's length fits.
        unsafe {
            let descriptions = source.descriptions.as_ptr();
            let mut next = sys::ggml_get_first_tensor(descriptions);
            while let Some(tensor) = next.as_ref() {
                let is_vector = sys::ggml_n_dims(tensor) == 1;
                let kind = if is_vector { sys::GGML_TYPE_F32 } else { sys::GGML_TYPE_F16 };
                sys::gguf_add_tensor(self.0.0.as_ptr(), tensor);
                sys::gguf_set_tensor_type(self.0.0.as_ptr(), tensor.name.as_ptr(), kind);
                kinds.push(kind);
                next = sys::ggml_get_next_tensor(descriptions, next);
            }
        }
        kinds
    }

    /// The bytes before the first tensor's contents.
    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: the context writes as many bytes as it said.
        unsafe {
            let mut bytes = vec![0; sys::gguf_get_meta_size(self.0.0.as_ptr())];
            sys::gguf_get_meta_data(self.0.0.as_ptr(), bytes.as_mut_ptr().cast());
            bytes
        }
    }

    /// The contents of each tensor begin at a multiple of this.
    pub fn alignment(&self) -> usize {
        // SAFETY: the context lives.
        unsafe { sys::gguf_get_alignment(self.0.0.as_ptr()) }
    }
}

/// Numbers with 16 bits each, to the nearest.
pub fn halved(numbers: &[f32]) -> Vec<u8> {
    let mut halves = vec![0_u16; numbers.len()];
    // SAFETY: as many are written as are read.
    unsafe {
        sys::ggml_fp32_to_fp16_row(numbers.as_ptr(), halves.as_mut_ptr(), numbers.len() as i64);
    }
    halves.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// A file that cannot be used, and why.
pub fn refused(path: &Path, reason: &str) -> InferenceError {
    InferenceError::ModelFile { path: path.to_owned(), reason: reason.to_owned() }
}

/// Owns ggml's description of a file.
struct Context(NonNull<sys::gguf_context>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: nothing else frees it.
        unsafe { sys::gguf_free(self.0.as_ptr()) };
    }
}

/// A copy of one of ggml's strings.
///
/// # Safety
///
/// The pointer must lead to a string that ends with a zero.
unsafe fn string(text: *const std::ffi::c_char) -> String {
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
