//! Reads pairs and fixed words, as several commands do.

/// Splits `KEY=VALUE`.
///
/// # Errors
/// There is no `=`, or nothing before it.
pub fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("write KEY=VALUE".into()),
    }
}

/// How the names of the variables begin that a worker gives every task.
const OWN_VARIABLES: &str = "MESHWORK_";

/// Checks that a task's environment may have a variable of this name.
///
/// # Errors
/// The variable is one of those that the worker sets. The message says so.
pub fn check_variable(name: &str) -> Result<(), String> {
    match name.starts_with(OWN_VARIABLES) {
        true => Err(format!("the worker sets the variables whose names begin with {OWN_VARIABLES}; call it otherwise")),
        false => Ok(()),
    }
}

/// Splits `KEY=VALUE` of a task's environment.
///
/// # Errors
/// There is no `=` or nothing before it, or a task cannot have such a variable.
pub fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = parse_pair(text)?;
    check_variable(&name)?;
    Ok((name, value))
}

/// Where a task finds an input with this path: below `/in` unless it is mounted elsewhere.
pub fn place_of(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/in/{path}") }
}

/// The value with this name.
///
/// # Errors
/// No value has this name. The message lists the names.
pub fn named<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("write one of {}", all()))
}

/// The name of a value.
pub fn word<T: PartialEq>(value: &T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, other)| other == value).map_or("?", |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use meshwork_core::types::{CatchUp, Overlap};

    use super::*;
    use crate::recurrence::{CATCH_UP, OVERLAP};

    #[test]
    fn a_pair_has_a_key_and_any_value() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(parse_pair("=b").is_err() && parse_pair("ab").is_err());
    }

    #[test]
    fn a_variable_that_the_worker_sets_is_refused_and_not_replaced() {
        assert_eq!(parse_variable("A=MESHWORK_X"), Ok(("A".into(), "MESHWORK_X".into())));
        assert!(parse_variable("MESHWORK_TASK_INDEX=3").expect_err("own").contains("MESHWORK_"));
        assert!(parse_variable("MESHWORK_ANY=").is_err() && parse_variable("meshwork_any=1").is_ok());
    }

    #[test]
    fn policies_have_names() {
        assert_eq!(named("once", &CATCH_UP), Ok(CatchUp::Once));
        assert_eq!(named("never", &OVERLAP), Err("write one of skip, queue, alongside, cancel".into()));
        assert_eq!(word(&Overlap::Queue, &OVERLAP), "queue");
    }
}
