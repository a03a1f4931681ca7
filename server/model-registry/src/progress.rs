use base::CancelToken;

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The model.
    pub id: &'a str,
    /// What is being done.
    pub step: Step,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, where they are known.
    pub total: Option<u64>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another process works on the same model.
    Waiting,
    /// It comes over the network.
    Downloading,
    /// It is taken out of its package.
    Unpacking,
    /// Its hash is computed.
    Verifying,
    /// It is copied from a file.
    Copying,
    /// The tools that convert it are installed.
    InstallingTools,
    /// It is converted.
    Converting,
    /// An adapter is merged into it.
    Merging,
    /// It is quantised.
    Quantizing,
}

impl Step {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for another process",
            Self::Downloading => "downloading",
            Self::Unpacking => "unpacking",
            Self::Verifying => "verifying",
            Self::Copying => "copying",
            Self::InstallingTools => "installing the tools that convert it",
            Self::Converting => "converting",
            Self::Merging => "merging",
            Self::Quantizing => "quantising",
        }
    }
}

/// One operation on one model: whom to tell, and whether to stop.
pub(crate) struct Task<'a> {
    pub(crate) id: &'a str,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) sink: &'a mut (dyn FnMut(Progress<'_>) + 'a),
}

impl Task<'_> {
    pub(crate) fn report(&mut self, step: Step, done: u64, total: Option<u64>) {
        (self.sink)(Progress { id: self.id, step, done, total });
    }
}
