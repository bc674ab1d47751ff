//! The rows that an array has one task for: numbers of a range, files, lines of a table, or combinations of values.

mod files;
mod quotes;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::value::RawValue;

use super::{
    model::Each,
    problem::{Checked, Problem, SourceFile, Span, suggestion},
    text::{Names, Template},
    values::{At, Named, Scalar, Text},
};

/// The names that every array provides: the task's number, and its place from 0.
const ALWAYS: [&str; 2] = ["index", "place"];

/// The rows of an array.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values of each row, by column. A row may lack some.
    pub rows: Vec<Vec<Option<String>>>,
    /// The file that the rows come from, and each row's line.
    lines: Option<(Arc<SourceFile>, Vec<usize>)>,
    at: Span,
}

/// What rows are made with.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    /// The directory that paths are relative to.
    pub directory: &'a Path,
    /// The values of names.
    pub names: Names<'a>,
    /// The most rows that an array may have.
    pub rows_max: usize,
}

impl Rows {
    /// The rows of a single task: one row without columns.
    pub fn single() -> Self {
        Self { rows: vec![Vec::new()], ..Self::default() }
    }

    /// The rows of an array.
    ///
    /// # Errors
    /// There are no rows, there are too many, or a file cannot be used.
    pub fn of(each: &At<Each>, making: Making<'_>) -> Checked<Self> {
        let Each { range, files, csv, jsonl, matrix, exclude, include } = &each.value;
        let said = [range.is_some(), files.is_some(), csv.is_some(), jsonl.is_some(), matrix.is_some()];
        let next = "write exactly one of `range`, `files`, `csv`, `jsonl` and `matrix`";
        if said.iter().filter(|said| **said).count() != 1 {
            return Err(Problem::new(&each.at, "This does not say what there is one task for each of", next));
        }
        if matrix.is_none() && !(exclude.is_empty() && include.is_empty()) {
            let next = "write them beside `matrix`";
            return Err(Problem::new(&each.at, "Only a matrix has combinations to exclude or to include", next));
        }
        let mut rows = match (range, files, csv, jsonl, matrix) {
            (Some(range), ..) => Self::of_range(range, making)?,
            (_, Some(files), ..) => Self::of_files(files, making)?,
            (_, _, Some(csv), ..) => Self::of_csv(csv, making)?,
            (_, _, _, Some(jsonl), _) => Self::of_jsonl(jsonl, making)?,
            (.., Some(matrix)) => Self::of_matrix(matrix, exclude, include, making)?,
            _ => Self::default(),
        };
        rows.at = each.at.clone();
        rows.number();
        rows.check(making)?;
        Ok(rows)
    }

    fn check(&self, making: Making<'_>) -> Checked {
        if self.rows.is_empty() {
            return Err(Problem::new(&self.at, "This gives no task at all", "see that there is at least one"));
        }
        if self.rows.len() > making.rows_max {
            return Err(too_many(&self.at, self.rows.len(), making));
        }
        if let Some(name) = self.columns.iter().find(|name| making.names.parameters.contains_key(*name)) {
            let what = format!("`{name}` is a parameter and a name that `each` gives");
            return Err(Problem::new(&self.at, what, "call one of them otherwise"));
        }
        Ok(())
    }

    /// Adds the names that every array provides, unless a column already has the name.
    fn number(&mut self) {
        for name in ALWAYS {
            if self.columns.iter().any(|column| column == name) {
                continue;
            }
            self.columns.push(name.to_owned());
            let columns = self.columns.len();
            for (place, row) in self.rows.iter_mut().enumerate() {
                row.resize(columns - 1, None);
                row.push(Some(place.to_string()));
            }
        }
    }

    /// A row's value in a column.
    ///
    /// # Errors
    /// The row has no value there.
    pub fn value(&self, row: usize, column: usize) -> Checked<&str> {
        if let Some(value) = self.rows[row].get(column).and_then(Option::as_deref) {
            return Ok(value);
        }
        let what = format!("There is no `{}` here, which the job file uses", self.columns[column]);
        let next = "give it a value in every row";
        Err(match &self.lines {
            Some((file, lines)) => Problem::in_file(file, file.line(lines[row]), what, next),
            None => Problem::new(&self.at, what, next),
        })
    }

    fn of_range(range: &Text, making: Making<'_>) -> Checked<Self> {
        let text = Template::new(range, making.names)?.constant()?;
        let (from, to, by) = parse_range(&text).ok_or_else(|| {
            let next = "write 0..300 (without the last), 0..=299 (with it) or 0..300 by 10";
            Problem::new(&range.at, format!("{text:?} is not a range"), next)
        })?;
        let count = to.saturating_sub(from).div_ceil(by);
        if count > making.rows_max as u64 {
            return Err(too_many(&range.at, count, making));
        }
        let rows = (0..count).map(|step| vec![Some((from + step * by).to_string())]).collect();
        Ok(Self { columns: vec!["index".into()], rows, ..Self::default() })
    }

    fn of_csv(path: &Text, making: Making<'_>) -> Checked<Self> {
        let file = read(path, making)?;
        let wrong = |line: Option<u64>, what: String, next: &str| {
            Problem::in_file(&file, file.line(line.unwrap_or(1) as usize), what, next)
        };
        if let Err(quotes::BadQuote { line, what }) = quotes::check(&file.text) {
            let next = "close it at the end of its value; a quote within one is written twice";
            return Err(Problem::in_file(&file, file.line(line), what, next));
        }
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file.text.as_bytes());
        let headers = reader.headers().map_err(|error| wrong(None, csv_in_words(&error), "mend this line"))?;
        let columns: Vec<String> = headers.iter().map(|name| name.trim().to_owned()).collect();
        for (at, name) in columns.iter().enumerate() {
            if name.is_empty() || columns[..at].contains(name) {
                let what = format!("Column {} has no name, or one that another has", at + 1);
                return Err(wrong(Some(1), what, "the first line names the columns, each otherwise"));
            }
        }
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|error| {
                let line = error.position().map(csv::Position::line);
                wrong(line, csv_in_words(&error), "mend this line")
            })?;
            let line = record.position().map(csv::Position::line);
            if record.len() != columns.len() {
                let what = format!("This row has {} columns, and the first line names {}", record.len(), columns.len());
                return Err(wrong(line, what, "give each column a value, an empty one perhaps"));
            }
            lines.push(line.unwrap_or(1) as usize);
            rows.push(record.iter().map(|value| Some(value.to_owned())).collect());
        }
        Ok(Self { columns, rows, lines: Some((file, lines)), at: 0..0 })
    }

    fn of_jsonl(path: &Text, making: Making<'_>) -> Checked<Self> {
        let file = read(path, making)?;
        let mut columns: Vec<String> = Vec::new();
        let (mut rows, mut lines): (Vec<Vec<Option<String>>>, Vec<usize>) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(file.text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            // The last of equal keys counts. A number is taken as it is written, not as it is read.
            let object: BTreeMap<String, &RawValue> = serde_json::from_str(line).map_err(|error| {
                let what = format!("This line is not a JSON object: {error}");
                Problem::in_file(&file, file.line(number), what, "write one object a line, such as {\"x\": 1}")
            })?;
            let mut row = vec![None; columns.len()];
            for (name, value) in object {
                let column = columns.iter().position(|column| *column == name).unwrap_or_else(|| {
                    columns.push(name);
                    columns.len() - 1
                });
                row.resize(columns.len(), None);
                row[column] = match serde_json::from_str(value.get()) {
                    Ok(serde_json::Value::Null) => None,
                    Ok(serde_json::Value::String(text)) => Some(text),
                    _ => Some(value.get().to_owned()),
                };
            }
            rows.push(row);
            lines.push(number);
        }
        Ok(Self { columns, rows, lines: Some((file, lines)), at: 0..0 })
    }

    fn of_matrix(
        matrix: &At<Named<Vec<At<Scalar>>>>,
        exclude: &[At<Named<At<Scalar>>>],
        include: &[At<Named<At<Scalar>>>],
        making: Making<'_>,
    ) -> Checked<Self> {
        let axes = &matrix.value.0;
        let columns: Vec<String> = axes.iter().map(|(name, _)| name.value.clone()).collect();
        let count = axes.iter().fold(1_u64, |count, (_, values)| count.saturating_mul(values.len() as u64));
        if count > making.rows_max as u64 {
            return Err(too_many(&matrix.at, count, making));
        }
        let mut rows: Vec<Vec<Option<String>>> = vec![Vec::new()];
        for (_, values) in axes {
            let longer = |row: &Vec<Option<String>>, value: &At<Scalar>| {
                row.iter().cloned().chain([Some(value.value.text.clone())]).collect::<Vec<_>>()
            };
            rows = rows.iter().flat_map(|row| values.iter().map(move |value| longer(row, value))).collect();
        }
        if axes.is_empty() {
            rows.clear();
        }
        for pattern in exclude {
            let wanted = combination(pattern, &columns)?;
            let before = rows.len();
            rows.retain(|row| !wanted.iter().all(|(column, value)| row[*column].as_deref() == Some(value)));
            if rows.len() == before {
                return Err(Problem::new(&pattern.at, "No combination is like this one", "check its values"));
            }
        }
        for added in include {
            let values = combination(added, &columns)?;
            let mut row = vec![None; columns.len()];
            for (column, value) in values {
                row[column] = Some(value.to_owned());
            }
            if row.iter().any(Option::is_none) {
                let next = "give a value for every name of the matrix";
                return Err(Problem::new(&added.at, "This combination is not whole", next));
            }
            rows.push(row);
        }
        Ok(Self { columns, rows, ..Self::default() })
    }
}

fn too_many(at: &Span, count: impl std::fmt::Display, making: Making<'_>) -> Problem {
    let what = format!("This gives {count} tasks, and a job has at most {} on this network", making.rows_max);
    Problem::new(at, what, "give fewer, or submit several jobs")
}

/// Parses a range: its first number, the number after its last, and the step.
fn parse_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, by) = match text.split_once(" by ") {
        Some((range, by)) => (range, by.trim().parse().ok().filter(|by| *by > 0)?),
        None => (text, 1),
    };
    let (from, to) = range.split_once("..")?;
    let from: u64 = from.trim().parse().ok()?;
    let to: u64 = match to.strip_prefix('=') {
        Some(last) => last.trim().parse::<u64>().ok()?.checked_add(1)?,
        None => to.trim().parse().ok()?,
    };
    Some((from, to, by))
}

/// The values of some names of a matrix, by column.
fn combination<'a>(pattern: &'a At<Named<At<Scalar>>>, columns: &[String]) -> Checked<Vec<(usize, &'a str)>> {
    let find = |(name, value): (&Text, &'a At<Scalar>)| {
        let column = columns.iter().position(|column| *column == name.value).ok_or_else(|| {
            let what = format!("The matrix has no `{}`", name.value);
            Problem::new(&name.at, what, suggestion(&name.value, columns.iter().map(String::as_str)))
        })?;
        Ok((column, value.value.text.as_str()))
    };
    pattern.value.iter().map(find).collect()
}

fn read(path: &Text, making: Making<'_>) -> Checked<Arc<SourceFile>> {
    let text = Template::new(path, making.names)?.constant()?;
    let full = making.directory.join(&text);
    let content = std::fs::read_to_string(&full).map_err(|error| {
        let what = format!("Could not read {}: {error}", full.display());
        Problem::new(&path.at, what, "paths are relative to the job file; check this one")
    })?;
    // A byte order mark is not part of the first column's name.
    let content = content.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(content);
    Ok(Arc::new(SourceFile::new(&full, content)))
}

fn csv_in_words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "This row is not text in UTF-8".into(),
        _ => format!("This row cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_an_end_and_a_step() {
        assert_eq!(parse_range("0..300"), Some((0, 300, 1)));
        assert_eq!(parse_range("1 ..= 9 by 2"), Some((1, 10, 2)));
        for text in ["", "5", "a..b", "0..3 by 0", "0..", "..5", "0..=18446744073709551615"] {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }
}
