//! Reads the arrows that ARCHITECTURE.md draws: a fenced block in the language `arrows`.
//!
//! ```text
//! crates
//!   cli → node, core
//! core
//!   any → codec
//!   ledger → schedule, types
//! ```
//!
//! Under `crates`, each workspace member has a row with the crates that it may depend on. Under a crate's name, each
//! module has a row with what it may name: sibling modules, and crates by their packages' names. The row `any` holds
//! for all modules. A row for a nested module, such as `commands/up`, adds to the row of its parent.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

/// The heading above the crates.
const CRATES: &str = "crates";
/// The row that holds for all modules of a crate.
const ANY: &str = "any";

/// What each named crate or module may know.
pub type Rows = BTreeMap<String, BTreeSet<String>>;

/// What is wrong with the block.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ArrowsError {
    /// The text has no such block.
    #[error("there is no block in the language `arrows`")]
    Missing,
    /// A line is neither a heading nor a row.
    #[error("{0:?} is neither a heading nor a row such as `  ledger → schedule, types`")]
    Line(String),
    /// Two rows have the same name.
    #[error("{0:?} has two rows")]
    Twice(String),
}

/// All arrows of the block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arrows {
    /// The crates that each crate may depend on.
    pub crates: Rows,
    /// What each module may name, by crate.
    pub modules: BTreeMap<String, Rows>,
}

impl Arrows {
    /// Reads the block from a Markdown text.
    ///
    /// # Errors
    /// The block is missing or malformed.
    pub fn parse(markdown: &str) -> Result<Self, ArrowsError> {
        let (_, rest) = markdown.split_once("```arrows\n").ok_or(ArrowsError::Missing)?;
        let (block, _) = rest.split_once("\n```").ok_or(ArrowsError::Missing)?;
        let mut arrows = Self::default();
        let mut heading = None;
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            if !line.starts_with(' ') {
                heading = Some(line.trim().to_owned());
                continue;
            }
            let wrong = || ArrowsError::Line(line.trim().to_owned());
            let heading = heading.clone().ok_or_else(wrong)?;
            let (name, known) = line.split_once('→').ok_or_else(wrong)?;
            let known = known.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
            let rows = if heading == CRATES { &mut arrows.crates } else { arrows.modules.entry(heading).or_default() };
            if rows.insert(name.trim().to_owned(), known).is_some() {
                return Err(ArrowsError::Twice(name.trim().to_owned()));
            }
        }
        Ok(arrows)
    }
}

/// The row that lets a module know `known`, if there is one. `module` is the module's path within the crate.
#[must_use]
pub fn row_for<'a>(rows: &'a Rows, module: &[String], known: &str) -> Option<&'a str> {
    let around = (1..=module.len()).map(|length| module[..length].join("/"));
    let mut names = [ANY.to_owned()].into_iter().chain(around);
    names.find_map(|name| {
        rows.get_key_value(&name).filter(|(_, row)| row.contains(known)).map(|(name, _)| name.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_by_headings_and_rows() {
        let text = "# Title\n\n```arrows\ncrates\n  cli → core\n  core →\n\ncli\n  any → failure\n  a/b → c\n```\nmore";
        let arrows = Arrows::parse(text).unwrap();
        assert_eq!(arrows.crates["cli"], ["core".to_owned()].into());
        assert!(arrows.crates["core"].is_empty());
        let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let rows = &arrows.modules["cli"];
        assert_eq!(row_for(rows, &path(&["x"]), "failure"), Some("any"));
        assert_eq!(row_for(rows, &path(&["a", "b", "d"]), "c"), Some("a/b"));
        assert_eq!(row_for(rows, &path(&["a"]), "c"), None);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        assert_eq!(Arrows::parse("nothing"), Err(ArrowsError::Missing));
        assert_eq!(Arrows::parse("```arrows\n  a → b\n```"), Err(ArrowsError::Line("a → b".into())));
        assert_eq!(Arrows::parse("```arrows\nx\n  a\n```"), Err(ArrowsError::Line("a".into())));
        assert_eq!(Arrows::parse("```arrows\nx\n  a → b\n  a → c\n```"), Err(ArrowsError::Twice("a".into())));
    }
}
