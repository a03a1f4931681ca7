use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base::{CancelToken, Cancelled};
use crossbeam_channel::bounded;
use store::FileRows;
use vfs_notify::{FoundFile, Walk};

use crate::{
    indexer::Shared,
    prepare::{self, Outcome},
    report::{IndexError, IndexReport, Progress, Seconds, SkippedFile, Stage},
    snapshot::Fresh,
    writer::Writer,
};

/// Rows are written in transactions of about this many files.
const BATCH: usize = 256;
/// A long update becomes searchable, and durable, piece by piece this often.
const COMMIT_EVERY: Duration = Duration::from_secs(10);
/// More files than this are not taken in on the thread that others wait for.
const MANY: usize = 100;
/// A process that only reads keeps at most this many newer files in memory.
const READER_FILES: usize = 512;

/// What a walk says has to be done.
pub(crate) struct Plan<'walk> {
    /// Files that may have changed, with the hash that they had.
    pub(crate) candidates: Vec<(&'walk FoundFile, Option<[u8; 16]>)>,
    /// Files that are no longer there.
    pub(crate) gone: Vec<Arc<str>>,
}

/// Compares the files on disk with the rows, by size, time and inode.
pub(crate) fn plan<'walk>(
    walk: &'walk Walk,
    files: &HashMap<Arc<str>, Arc<FileRows>>,
    redo: &HashSet<Arc<str>>,
) -> Plan<'walk> {
    let mut candidates = Vec::new();
    let mut there = 0;
    for found in &walk.files {
        let known = files.get(found.path.as_str()).map(|rows| &rows.file);
        there += usize::from(known.is_some());
        let unchanged = known.is_some_and(|known| {
            (known.size, known.mtime_ns, known.inode) == (found.size, found.mtime_ns, found.inode)
        });
        let again = redo.contains(found.path.as_str());
        if !unchanged || again {
            let hash = known.filter(|_| !again).map(|known| known.hash);
            candidates.push((found, hash));
        }
    }
    let mut gone = Vec::new();
    if there < files.len() {
        let there: HashSet<&str> = walk.files.iter().map(|found| found.path.as_str()).collect();
        gone.extend(files.keys().filter(|path| !there.contains(&***path)).map(Arc::clone));
    }
    Plan { candidates, gone }
}

impl Shared {
    /// Brings the index up to date with the files.
    pub(crate) fn reconcile(
        &self,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<IndexReport, IndexError> {
        let begun = Instant::now();
        progress(&Progress { stage: Stage::Scan, done: 0, total: 0 });
        let ahead = self.walking.lock().take().and_then(|walking| walking.join().ok()?.ok());
        let walk = match ahead {
            Some(walk) => walk,
            None => vfs_notify::walk(&self.workspace, &self.options.walk, cancel)?,
        };
        let scan = begun.elapsed();
        let mut report = IndexReport::default();
        let mut lexical = Duration::ZERO;
        {
            let mut role = self.role.lock();
            self.become_writer(&mut role);
            match &mut *role {
                crate::writer::Role::Writer(writer) => {
                    let plan = plan(&walk, &writer.files, &writer.redo);
                    // So much is bulk work, and a thread in the background has other work as well.
                    let in_bulk = plan.candidates.len() > MANY && base::is_polite();
                    let (progress, report) = (&mut *progress, &mut report);
                    let update =
                        || self.update_stored(plan, writer, &walk, cancel, progress, report);
                    lexical = if in_bulk { base::standing_back(update) } else { update() }?;
                }
                crate::writer::Role::Reader(reader) => {
                    if let Some(base) = reader.refresh()? {
                        self.publish_base(base);
                    }
                    self.update_in_memory(&walk, cancel, progress, &mut report)?;
                }
            }
        }
        self.walked(&walk);
        self.finish_report(&walk, &mut report);
        let total = begun.elapsed();
        report.seconds = Seconds {
            scan: scan.as_secs_f64(),
            parse: total.saturating_sub(scan + lexical).as_secs_f64(),
            lexical: lexical.as_secs_f64(),
            vectors: 0.0,
            total: total.as_secs_f64(),
        };
        Ok(report)
    }

    /// Reads what a walk says has to be read, and stores it. Says how long the last commit took.
    fn update_stored(
        &self,
        plan: Plan<'_>,
        writer: &mut Writer,
        walk: &Walk,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
        report: &mut IndexReport,
    ) -> Result<Duration, IndexError> {
        let Plan { candidates, gone } = plan;
        let total = candidates.len() as u64;
        self.expect(total as usize);
        report.removed = gone.len();
        writer.write(Vec::new(), Vec::new(), &gone)?;
        let (mut changed, mut touched, mut vanished) = (Vec::new(), Vec::new(), Vec::new());
        let mut done = 0;
        let mut committed = Instant::now();
        let result = self.read_all(&candidates, cancel, &mut |file, outcome| {
            match outcome {
                Outcome::Changed(prepared) => changed.push(*prepared),
                Outcome::Same(row) => touched.push(row),
                Outcome::Gone => vanished.push(Arc::from(file.path.as_str())),
            }
            done += 1;
            if changed.len() + touched.len() >= BATCH {
                report.changed += changed.len();
                writer.write(
                    std::mem::take(&mut changed),
                    std::mem::take(&mut touched),
                    &std::mem::take(&mut vanished),
                )?;
                self.expect((total - done) as usize);
                if committed.elapsed() > COMMIT_EVERY {
                    if let Some(base) = writer.commit()? {
                        self.publish_base(base);
                    }
                    committed = Instant::now();
                }
            }
            progress(&Progress { stage: Stage::Parse, done, total });
            Ok(())
        });
        let stopped = match result {
            Err(IndexError::Cancelled(Cancelled)) => true,
            other => other.map(|()| false)?,
        };
        report.changed += changed.len();
        writer.write(changed, touched, &vanished)?;
        progress(&Progress { stage: Stage::Commit, done: total, total });
        let begun = Instant::now();
        let base = writer.commit()?;
        if !stopped {
            self.publish_walked(base, walk);
        } else if let Some(base) = base {
            self.publish_base(base);
        }
        let lexical = begun.elapsed();
        self.expect(0);
        if stopped { Err(Cancelled.into()) } else { Ok(lexical) }
    }

    /// What a process that may not write can do: keep the newer files in memory.
    fn update_in_memory(
        &self,
        walk: &Walk,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
        report: &mut IndexReport,
    ) -> Result<(), IndexError> {
        let base = self.base();
        let Plan { mut candidates, gone } = plan(walk, &base.files, &HashSet::new());
        if candidates.len() > READER_FILES {
            tracing::info!(
                files = candidates.len(),
                "more files are new than are kept in memory; the process that writes the index \
                 will add them"
            );
            candidates.truncate(READER_FILES);
        }
        let total = candidates.len() as u64;
        let mut fresh = Vec::new();
        let mut tokens = lexical_index::Tokens::new();
        let mut done = 0;
        self.read_all(&candidates, cancel, &mut |file, outcome| {
            let path: Arc<str> = file.path.as_str().into();
            match outcome {
                Outcome::Changed(prepared) => {
                    fresh.push((path, Some(Fresh::of(&prepared, &base, false, &mut tokens))));
                }
                // The file is again as the stored index has it.
                Outcome::Same(_) => fresh.push((path, None)),
                Outcome::Gone => fresh.push((Arc::clone(&path), Some(Fresh::gone(&path, &base)))),
            }
            done += 1;
            progress(&Progress { stage: Stage::Parse, done, total });
            Ok(())
        })?;
        report.changed = fresh.len();
        report.removed = gone.len();
        for path in gone {
            let state = Fresh::gone(&path, &base);
            fresh.push((path, Some(state)));
        }
        self.lay_over(fresh);
        Ok(())
    }

    /// Reads and parses the candidates on threads of their own, which stand back where this one is polite, and
    /// hands each outcome to `sink` on this one, in the order in which they are done.
    fn read_all(
        &self,
        candidates: &[(&FoundFile, Option<[u8; 16]>)],
        cancel: &CancelToken,
        sink: &mut dyn FnMut(&FoundFile, Outcome) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let (threads, documents) = (self.options.threads, &self.documents);
        let in_background = base::is_polite();
        let next = AtomicUsize::new(0);
        let (sender, receiver) = bounded(threads * 8);
        std::thread::scope(|scope| {
            for _ in 0..threads.min(candidates.len()) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    if in_background {
                        base::stand_back();
                    }
                    while let Some((file, known)) =
                        candidates.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        if cancel.is_cancelled() {
                            return;
                        }
                        // A parser that panics costs its file, which is then tried again next time.
                        let outcome = catch_unwind(AssertUnwindSafe(|| {
                            prepare::read(file, *known, documents, cancel)
                        }));
                        let Ok(outcome) = outcome else {
                            tracing::error!(path = file.path, "reading this file panicked");
                            continue;
                        };
                        if sender.send((*file, outcome)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (file, outcome) in receiver {
                cancel.check()?;
                sink(file, outcome)?;
            }
            Ok(cancel.check()?)
        })
    }

    fn finish_report(&self, walk: &Walk, report: &mut IndexReport) {
        let snapshot = self.snapshot();
        for rows in snapshot.files() {
            report.files += 1;
            report.chunks += rows.chunk_count();
            report.symbols += rows.symbol_count();
            report.bytes += rows.file.size;
        }
        let listed = walk.skipped.iter().map(|skipped| SkippedFile {
            path: skipped.path.clone(),
            reason: skipped.reason.clone(),
        });
        let base = self.base();
        let read = base.files.values().filter_map(|rows| {
            let reason = rows.file.skipped.as_ref()?;
            Some(SkippedFile { path: rows.file.path.to_string(), reason: reason.to_string() })
        });
        report.skipped = listed.chain(read).collect();
        report.skipped.sort_unstable();
        report.plain = snapshot.plain_files();
    }
}
