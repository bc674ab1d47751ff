//! `${name}` in texts. `$${name}` stands for `${name}` itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    problem::{Checked, Problem, Span, suggestion},
    values::Text,
};

/// A text with names in it.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    at: Span,
}

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    Name(String),
    /// A name whose value differs from task to task, by its column.
    Column(usize),
}

/// The values of names: a parameter has one value for all tasks, a column one for each task of an array.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The parameters.
    pub parameters: &'a BTreeMap<String, String>,
    /// The names of an array's columns, in order.
    pub columns: &'a [String],
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// A `${` is not closed, or a name is unknown.
    pub fn new(text: &Text, names: Names<'_>) -> Checked<Self> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.value.as_str();
        while let Some(dollar) = rest.find('$') {
            literal.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$${") {
                literal.push_str("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let end = after.find('}').ok_or_else(|| {
                    Problem::new(&text.at, "A `${` is not closed here", "write ${name}, or $${ for the characters ${")
                })?;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(names.find(&after[..end], text)?);
                rest = &after[end + 1..];
            } else {
                literal.push('$');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        let mut template = Self { pieces, at: text.at.clone() };
        template.settle(names);
        Ok(template)
    }

    /// Replaces the names that have the same value for all tasks.
    fn settle(&mut self, names: Names<'_>) {
        for piece in &mut self.pieces {
            let Piece::Name(name) = piece else { continue };
            if let Some(value) = names.parameters.get(name) {
                *piece = Piece::Literal(value.clone());
            }
        }
    }

    /// The text's place in the file.
    pub const fn at(&self) -> &Span {
        &self.at
    }

    /// The columns in which the text differs from task to task.
    pub fn columns(&self) -> BTreeSet<usize> {
        let column = |piece: &Piece| if let Piece::Column(column) = piece { Some(*column) } else { None };
        self.pieces.iter().filter_map(column).collect()
    }

    /// Whether the text is the same for all tasks.
    pub fn is_constant(&self) -> bool {
        self.pieces.iter().all(|piece| !matches!(piece, Piece::Column(_)))
    }

    /// The text of one task.
    ///
    /// # Errors
    /// The task has no value for a column.
    pub fn fill<'a>(&self, column: impl Fn(usize) -> Checked<&'a str>) -> Checked<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) | Piece::Name(literal) => text.push_str(literal),
                Piece::Column(index) => text.push_str(column(*index)?),
            }
        }
        Ok(text)
    }

    /// The text that all tasks share.
    ///
    /// # Errors
    /// The text differs from task to task.
    pub fn constant(&self) -> Checked<String> {
        let differs = || {
            let what = "This is one for all tasks of the array, and cannot differ from task to task";
            let next = "use such names in `arguments`, `inputs` and `after…`, or make tasks of their own";
            Problem::new(&self.at, what, next)
        };
        self.fill(|_| Err(differs()))
    }
}

impl Names<'_> {
    fn find(&self, name: &str, text: &Text) -> Checked<Piece> {
        if let Some(column) = self.columns.iter().position(|column| column == name) {
            return Ok(Piece::Column(column));
        }
        if self.parameters.contains_key(name) {
            return Ok(Piece::Name(name.to_owned()));
        }
        let known = self.columns.iter().map(String::as_str).chain(self.parameters.keys().map(String::as_str));
        let what = format!("Nothing here is named `{name}`");
        Err(Problem::new(&text.at, what, suggestion(name, known.collect::<Vec<_>>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Text {
        Text { value: value.to_owned(), at: 0..0 }
    }

    fn filled(value: &str) -> Checked<String> {
        let parameters = BTreeMap::from([("scene".to_owned(), "big".to_owned())]);
        let columns = ["index".to_owned()];
        let template = Template::new(&text(value), Names { parameters: &parameters, columns: &columns })?;
        template.fill(|_| Ok("7"))
    }

    #[test]
    fn names_are_replaced_and_two_dollars_stand_for_one() {
        assert_eq!(filled("a ${scene}-${index}").expect("good"), "a big-7");
        assert_eq!(filled("$5 $${scene} $").expect("good"), "$5 ${scene} $");
        assert_eq!(filled("").expect("good"), "");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_closest() {
        let problem = filled("${scen}").expect_err("unknown");
        assert!(problem.next.contains("`scene`"), "{problem:?}");
        assert!(filled("${scene").is_err());
    }
}
