//! The files that patterns match: each once, in the order of their paths, and hidden ones only where a pattern says so.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use glob::{MatchOptions, Pattern};

use super::{Making, Rows, Template};
use crate::job_file::{
    problem::{Checked, Problem, Span},
    values::List,
};

/// A hidden file or directory is matched by a part of the pattern that begins with a dot, and by no other.
const AS_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

impl Rows {
    /// One row for each file that matches one of the patterns.
    pub(super) fn of_files(patterns: &List<String>, making: Making<'_>) -> Checked<Self> {
        // By the file itself, so that it counts once however the patterns spell its directory.
        let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
        for pattern in &patterns.0 {
            let text = Template::new(pattern, making.names)?.constant()?;
            let found = matches(&text, &pattern.at, making.directory)?;
            if found.is_empty() {
                let what = format!("No file matches {text:?} in {}", making.directory.display());
                let next = "paths are relative to the job file, and `*` matches no hidden file; check the pattern";
                return Err(Problem::new(&pattern.at, what, next));
            }
            for path in found {
                files.entry(itself(&making.directory.join(&path))).or_insert(path);
            }
        }
        let mut paths: Vec<String> = files.into_values().collect();
        paths.sort_by(|one, other| Path::new(one).cmp(Path::new(other)));
        let part = |part: Option<&OsStr>| Some(part?.to_str()?.to_owned());
        let row =
            |path: String| vec![part(Path::new(&path).file_name()), part(Path::new(&path).file_stem()), Some(path)];
        let columns = ["name", "stem", "file"].map(str::to_owned).to_vec();
        Ok(Self { columns, rows: paths.into_iter().map(row).collect(), ..Self::default() })
    }
}

/// A file's own path, however its directory was written. Two names of one file in a directory are two files.
fn itself(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|directory| directory.canonicalize().ok());
    directory.zip(path.file_name()).map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name))
}

/// The path without parts that say nothing.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// The files that a pattern matches, by their paths relative to the directory.
fn matches(pattern: &str, at: &Span, directory: &Path) -> Checked<Vec<String>> {
    let wrong = |why: String| Problem::new(at, why, "check the pattern and the files");
    let base = directory.to_str().ok_or_else(|| wrong("The job file's directory has a name that is no text".into()))?;
    let full = match Path::new(pattern).is_absolute() || base.is_empty() {
        true => pattern.to_owned(),
        false => format!("{}/{pattern}", glob::Pattern::escape(base)),
    };
    let not_a_pattern = |error: glob::PatternError| wrong(format!("{pattern:?} is not a pattern: {error}"));
    let found = glob::glob(&full).map_err(not_a_pattern)?;
    // The walk takes a dot for any character: with its option for that, it finds no hidden file at all.
    let shown = plain(Path::new(pattern));
    let shown = Pattern::new(&shown.to_string_lossy()).map_err(not_a_pattern)?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|error| wrong(format!("A file cannot be looked at: {error}")))?;
        let relative = plain(path.strip_prefix(directory).unwrap_or(&path));
        if !path.is_file() || !shown.matches_path_with(&relative, AS_A_SHELL) {
            continue;
        }
        let text = relative.to_str();
        let text = text.ok_or_else(|| wrong(format!("{} has a name that is no text", path.display())))?;
        paths.push(text.to_owned());
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::job_file::{problem::Problem, text::Names, values::At};

    fn found(files: &[&str], patterns: &[&str]) -> Result<Vec<String>, Problem> {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("created");
            fs::write(path, file).expect("written");
        }
        let names = Names { parameters: &BTreeMap::new(), columns: &[] };
        let list = List(patterns.iter().map(|text| At { value: (*text).to_owned(), at: 0..0 }).collect());
        let rows = Rows::of_files(&list, Making { directory: directory.path(), names, rows_max: 100 })?;
        Ok(rows.rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect())
    }

    #[test]
    fn a_file_is_one_task_however_many_patterns_match_it_and_however_they_spell_it() {
        let files = ["b.csv", "a.csv", "sub/c.csv"];
        let all = found(&files, &["b.csv", "./a.csv", "*.csv", "sub/../a.csv", "**/*.csv", "sub/./c.csv"]);
        assert_eq!(all.expect("good"), ["a.csv", "b.csv", "sub/c.csv"]);
        assert_eq!(found(&files, &["sub/*", "a*"]).expect("good"), ["a.csv", "sub/c.csv"]);
    }

    #[test]
    fn hidden_files_are_matched_only_where_the_pattern_names_the_dot() {
        let files = [".hidden.csv", "a.csv", ".git/b.csv", "sub/.c.csv", "sub/d.csv"];
        assert_eq!(found(&files, &["*.csv"]).expect("good"), ["a.csv"]);
        assert_eq!(found(&files, &["**/*.csv"]).expect("good"), ["a.csv", "sub/d.csv"]);
        assert!(found(&files, &["?hidden.csv"]).expect_err("hidden").next.contains("hidden"));
        assert_eq!(found(&files, &[".*.csv", ".git/*"]).expect("good"), [".git/b.csv", ".hidden.csv"]);
        assert_eq!(found(&files, &["sub/.c*"]).expect("good"), ["sub/.c.csv"]);
    }
}
