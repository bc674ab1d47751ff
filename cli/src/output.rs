//! Everything that a person or a script sees.
//!
//! Commands hand over values, and this module decides whether they become a table or JSON. What was asked for goes to
//! standard output, everything else to standard error.

mod explanation;
mod fields;
pub mod gantt;
pub mod governance;
mod listings;
pub mod progress;
mod timeline;
pub mod usage;
pub mod words;

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::{Done, Failure};

/// A row of a table.
pub trait Listing: Serialize {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];
    /// The row's cells.
    fn row(&self) -> Vec<String>;
}

/// A value that is shown as a list of named facts.
pub trait Record: Serialize {
    /// The facts, in reading order.
    fn facts(&self) -> Vec<(&'static str, String)>;
}

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON for scripts, or text for people.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the output is JSON.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a listing: a table, or a JSON array.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn listing<T: Listing>(self, items: &[T]) -> Done {
        if self.json {
            return write_json(&items);
        }
        self.lines(&table(items))
    }

    /// Prints a table of figures. The first column names each row.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn figures(self, columns: &[&str], rows: Vec<Vec<String>>) -> Done {
        let mut table = table_of(columns);
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self.lines(&table.trim_fmt())
    }

    /// Prints comma-separated values, with the columns' names first.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn csv<'a>(self, columns: impl Iterator<Item = &'a str>, rows: impl Iterator<Item = Vec<String>>) -> Done {
        let write = || {
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(columns)?;
            for row in rows {
                csv.write_record(row)?;
            }
            csv.into_inner().map_err(|error| csv::Error::from(error.into_error()))
        };
        let text = write().map_err(|error| Failure::failed(format!("No CSV of it: {error}.")))?;
        self.bytes(&text)
    }

    /// Prints one thing: its facts, or a JSON object.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn record<T: Record>(self, record: &T) -> Done {
        if self.json {
            return write_json(record);
        }
        let facts = record.facts();
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
        self.lines(&lines.join("\n"))
    }

    /// Prints one thing with its parts: its facts and a table for each non-empty kind of part, or one JSON object.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn record_with<T: Record, U: Listing, V: Listing>(
        self,
        record: &T,
        one: (&'static str, &[U]),
        other: (&'static str, &[V]),
    ) -> Done {
        if !self.json {
            self.record(record)?;
            if !one.1.is_empty() {
                self.lines("")?;
                self.listing(one.1)?;
            }
            self.lines("")?;
            return self.listing(other.1);
        }
        let together = || {
            let mut object = serde_json::to_value(record)?;
            object[one.0] = serde_json::to_value(one.1)?;
            object[other.0] = serde_json::to_value(other.1)?;
            Ok(object)
        };
        let object = together().map_err(|error: serde_json::Error| Failure::failed(format!("No JSON: {error}.")))?;
        write_json(&object)
    }

    /// Prints the one value that a command is for: bare, or as the only field of a JSON object.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn value(self, name: &str, value: &str) -> Done {
        if self.json {
            return write_json(&serde_json::json!({ name: value }));
        }
        self.lines(value)
    }

    /// Prints one thing as a JSON object.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn object<T: Serialize>(self, value: &T) -> Done {
        write_json(value)
    }

    /// Prints text as it is.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn lines(self, text: &str) -> Done {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn bytes(self, bytes: &[u8]) -> Done {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // The reader has had enough, as `head` has. That is not a failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::failed(format!("Standard output took no more: {error}."))),
            Ok(()) => Ok(()),
        }
    }

    /// Writes what a program wrote: as it came for a file or a pipe, and as text for a person at a terminal.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn program_bytes(self, bytes: &[u8]) -> Done {
        match io::stdout().is_terminal() {
            true => self.bytes(String::from_utf8_lossy(bytes).as_bytes()),
            false => self.bytes(bytes),
        }
    }

    /// Tells a person something that scripts need not know, on standard error.
    pub fn note(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// A listing as a table, for people.
pub fn table<T: Listing>(items: &[T]) -> String {
    let mut table = table_of(T::COLUMNS);
    for item in items {
        table.add_row(item.row());
    }
    table.trim_fmt()
}

fn table_of(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|name| Cell::new(name.to_uppercase())));
    table
}

fn write_json<T: Serialize>(value: &T) -> Done {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::failed(format!("No JSON of it: {error}.")))?;
    Output::new(true).lines(&text)
}

/// Says why a command failed.
pub fn complain(sentence: &str) {
    let _ = writeln!(io::stderr().lock(), "meshwork: {sentence}");
}
