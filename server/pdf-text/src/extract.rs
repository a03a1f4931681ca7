use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
    time::Instant,
};

use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps,
    InterpreterCache, InterpreterSettings, SoftMask,
    font::{Glyph, GlyphRun},
    hayro_cmap::BfString,
    hayro_syntax::{LoadPdfError, Pdf},
    interpret_page,
    kurbo::{Affine, BezPath, Point, Rect},
};

use crate::{PdfFailure, PdfLimits, lines::Lines};

/// The library follows some kinds of nesting by recursion.
const STACK: usize = 64 << 20;

/// The text of a PDF; see [`PdfReader::read`](crate::PdfReader::read). Memory is not bounded here, and
/// time only where something is drawn.
pub fn extract(bytes: Vec<u8>, limits: &PdfLimits) -> Result<String, PdfFailure> {
    let limits = *limits;
    let work = move || catch_unwind(AssertUnwindSafe(|| read(bytes, limits)));
    let thread = thread::Builder::new().name("pdf".into()).stack_size(STACK).spawn(work);
    let thread = thread.map_err(|error| PdfFailure::Unavailable(error.to_string()))?;
    match thread.join() {
        Ok(Ok(read)) => read,
        Ok(Err(panic)) | Err(panic) => match panic.downcast::<Stop>() {
            Ok(stop) => Err(stop.0),
            Err(_) => Err(PdfFailure::Died),
        },
    }
}

/// Unwinds out of the library, which cannot be asked to stop.
struct Stop(PdfFailure);

fn read(bytes: Vec<u8>, limits: PdfLimits) -> Result<String, PdfFailure> {
    let pdf = Pdf::new(bytes).map_err(|error| match error {
        LoadPdfError::Decryption(_) => PdfFailure::Encrypted,
        LoadPdfError::Invalid => PdfFailure::Damaged,
    })?;
    let settings = InterpreterSettings::default();
    let cache = InterpreterCache::new();
    let mut page_text =
        PageText { lines: Lines::default(), begun: Instant::now(), limits, filled: None };
    if pdf.pages().is_empty() {
        return Err(PdfFailure::Damaged);
    }
    for page in pdf.pages().iter() {
        let area = Rect::new(0.0, 0.0, 1.0, 1.0);
        let mut context =
            Context::new(Affine::IDENTITY, area, &cache, pdf.xref(), settings.clone());
        interpret_page(page, &mut context, &mut page_text);
        page_text.lines.end_page();
        page_text.check();
    }
    if page_text.lines.is_unmapped() {
        return Err(PdfFailure::Unmapped);
    }
    let text = page_text.lines.into_text();
    if text.trim().is_empty() {
        return Err(PdfFailure::NoText);
    }
    Ok(text)
}

/// Takes the letters and leaves out everything else that is drawn.
struct PageText {
    lines: Lines,
    begun: Instant,
    limits: PdfLimits,
    /// Where the last filled run began: letters that are filled and stroked are drawn twice.
    filled: Option<Point>,
}

impl PageText {
    fn check(&self) {
        let PdfLimits { time, text_bytes } = self.limits;
        if self.begun.elapsed() > time {
            resume_unwind(Box::new(Stop(PdfFailure::TooSlow { limit: time })));
        }
        if self.lines.len() > text_bytes {
            resume_unwind(Box::new(Stop(PdfFailure::TooLong { limit: text_bytes })));
        }
    }
}

impl Device<'_> for PageText {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, '_>, props: DrawProps<'_>, mode: &DrawMode) {
        self.check();
        let Some(first) = run.glyphs().first() else { return };
        let start = props.transform * first.transform() * Point::ZERO;
        if matches!(mode, DrawMode::Stroke(_)) && self.filled == Some(start) {
            return;
        }
        self.filled = Some(start);
        for glyph in run.glyphs() {
            let advance = match &**glyph {
                Glyph::Outline(glyph) => glyph.advance_width(),
                Glyph::Type3(glyph) => glyph.advance_width(),
            };
            let place = props.transform * glyph.transform();
            match glyph.as_unicode() {
                Some(BfString::Char(ch)) => {
                    self.lines.letter(ch.encode_utf8(&mut [0; 4]), place, advance);
                }
                Some(BfString::String(content)) => self.lines.letter(&content, place, advance),
                None => self.lines.unknown(),
            }
        }
    }

    fn draw_path(&mut self, _path: &BezPath, _props: DrawProps<'_>, _mode: &DrawMode) {
        self.check();
    }

    fn push_clip_path(&mut self, _path: &ClipPath) {
        self.check();
    }

    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'_>>, _: BlendMode) {
        self.check();
    }

    fn draw_image(&mut self, _image: Image<'_, '_>, _props: ImageDrawProps<'_>) {
        self.check();
    }

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}
}

#[cfg(test)]
mod tests;
