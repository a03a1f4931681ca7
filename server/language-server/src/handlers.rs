//! One function for each method, named after it: parameters in, façade called, result out.

pub mod chat;
pub mod code_action;
pub mod completion;
pub mod edit;
pub mod index;
pub mod lifecycle;
pub mod symbol;
pub mod text_document;
