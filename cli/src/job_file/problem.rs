//! A mistake in a job file: one sentence, its line and column, and what to do next.

use std::{ops::Range, path::Path, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::failure::Failure;

/// A place in a file: a range of bytes.
pub type Span = Range<usize>;

/// A file that problems point into.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path, as given.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl SourceFile {
    /// A file with this content.
    pub fn new(path: &Path, text: String) -> Self {
        Self { path: path.display().to_string(), text }
    }

    /// The line and column of a byte, both from 1. Columns count characters.
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let at = (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        (line, column)
    }

    /// The place of a line, counted from 1.
    pub fn line(&self, number: usize) -> Span {
        let mut from = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            if index + 1 == number {
                return from..from + line.trim_end().len();
            }
            from += line.len();
        }
        from..from
    }
}

/// A mistake.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What is wrong, without a full stop.
    pub what: String,
    /// What to do next, without a full stop.
    pub next: String,
    /// Its place.
    pub at: Span,
    /// The file that it is in, if that is not the job file.
    pub file: Option<Arc<SourceFile>>,
}

/// The result of reading or expanding a job file.
pub type Checked<T = ()> = Result<T, Problem>;

impl Problem {
    /// A mistake in the job file.
    pub fn new(at: &Span, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), at: at.clone(), file: None }
    }

    /// A mistake in another file, such as a table of rows.
    pub fn in_file(file: &Arc<SourceFile>, at: Span, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { file: Some(Arc::clone(file)), ..Self::new(&at, what, next) }
    }

    /// Writes the problem as one sentence with file, line and column, followed by the lines themselves.
    pub fn into_failure(self, job_file: &SourceFile) -> Failure {
        let file = self.file.as_deref().unwrap_or(job_file);
        let (line, column) = file.line_and_column(self.at.start);
        let sentence = format!("{}:{line}:{column}: {}; {}.", file.path, self.what, self.next);
        // An annotation of an empty range would not be shown.
        let end = self.at.end.max(self.at.start + 1).min(file.text.len());
        let at = self.at.start.min(end)..end;
        let snippet = Snippet::source(&file.text).path(&file.path).annotation(AnnotationKind::Primary.span(at));
        let shown = Renderer::plain().render(&[Group::with_level(Level::ERROR).element(snippet)]);
        Failure::usage(format!("{sentence}\n{shown}"))
    }
}

/// The name among these that is closest to `name`, if one is close.
pub fn closest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.7;
    let alike = among.into_iter().map(|other| (strsim::jaro_winkler(name, other), other));
    let alike = alike.filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
    alike.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, other)| other)
}

/// "did you mean" if a name is close, else the list of all names.
pub fn suggestion<'a>(name: &str, among: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const NAMES_MAX: usize = 30;
    if let Some(close) = closest(name, among.clone()) {
        return format!("did you mean `{close}`");
    }
    let names: Vec<String> = among.into_iter().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [] => "there are none".into(),
        [only] => format!("there is only {only}"),
        _ => format!("there are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_line_and_column_and_shows_them() {
        let file = SourceFile { path: "job.toml".into(), text: "a = 1\nbäh = 2\nc = 3\n".into() };
        let at = file.text.find("= 2").expect("there");
        let failure = Problem::new(&(at..at + 3), "This is wrong", "write 3").into_failure(&file);
        assert!(failure.sentence.starts_with("job.toml:2:5: This is wrong; write 3.\n"), "{failure}");
        assert!(failure.sentence.contains("bäh = 2") && failure.sentence.contains("^^^"), "{failure}");
    }

    #[test]
    fn a_problem_at_the_end_of_a_file_can_be_shown() {
        let file = SourceFile { path: "job.toml".into(), text: "a = ".into() };
        assert!(Problem::new(&(4..4), "Nothing", "write").into_failure(&file).sentence.contains("1:5"));
        let empty = SourceFile { path: "job.toml".into(), text: String::new() };
        assert!(Problem::new(&(0..0), "Nothing", "write").into_failure(&empty).sentence.contains("1:1"));
    }

    #[test]
    fn names_that_are_close_are_suggested() {
        assert_eq!(closest("tile", ["tiles", "join"]), Some("tiles"));
        assert_eq!(closest("zebra", ["tiles", "join"]), None);
        assert_eq!(suggestion("zebra", ["tiles", "join"]), "there are `tiles`, `join`");
    }
}
