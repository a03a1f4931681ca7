//! Where models come from.

pub(crate) mod hub;
pub(crate) mod pypi;
