//! Parses a job file, and puts parse errors in a person's words.

use super::{
    model::JobFile,
    problem::{Checked, Problem, Span, suggestion},
};

/// Parses a job file.
///
/// # Errors
/// The text is not TOML, a key is unknown, or a value has the wrong type.
pub fn parse(text: &str) -> Checked<JobFile> {
    let mut file: JobFile = toml::from_str(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        in_words(error.message(), &at)
    })?;
    file.spell(text);
    Ok(file)
}

/// Puts the deserializer's message in a person's words. A message of an unknown form is kept as it is.
fn in_words(message: &str, at: &Span) -> Problem {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let (true, Some((unknown, known))) = (message.starts_with("unknown field"), quoted.split_first()) {
        let what = format!("There is no key `{unknown}` here");
        return Problem::new(at, what, suggestion(unknown, known.iter().copied()));
    }
    if let Some((found, expected)) = message.split_once(", expected ") {
        let next = format!("write {}", expected_in_words(expected));
        let typed = ["invalid type: ", "invalid value: "].iter().find_map(|kind| found.strip_prefix(kind));
        let what = typed.map_or_else(|| capital(found), |found| format!("This is {}", found_in_words(found)));
        return Problem::new(at, what, next);
    }
    let message = message.trim_end_matches('.').replace('\n', ", ");
    Problem::new(at, capital(&message), "see docs/job-file.md for what can stand here")
}

/// Capitalizes the beginning of a sentence.
fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn found_in_words(found: &str) -> String {
    match found.split_once(' ') {
        Some(("integer" | "floating", number)) => format!("the number {}", number.trim_start_matches("point ")),
        Some(("string", text)) => format!("the text {text}"),
        Some(("boolean", truth)) => truth.to_owned(),
        _ if found == "sequence" => "an array".into(),
        _ if found == "map" => "a table or a date".into(),
        _ => found.to_owned(),
    }
}

fn expected_in_words(expected: &str) -> String {
    match expected {
        "u32" | "u64" => "a whole number that is not negative".into(),
        "i16" => "a whole number from -32768 to 32767".into(),
        "a string" => "a text, in quotes".into(),
        "a sequence" => "an array, in brackets".into(),
        _ if expected.starts_with("struct ") || expected == "a map" => "a table".into(),
        _ => expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (Problem, String) {
        let problem = parse(text).expect_err(text);
        let at = text[problem.at.clone()].to_owned();
        (problem, at)
    }

    #[test]
    fn an_unknown_key_is_pointed_at_with_the_closest() {
        let (problem, at) = problem("[tasks.a]\nmemry = \"1MiB\"\n");
        assert_eq!(at, "memry");
        assert!(problem.what.contains("`memry`") && problem.next.contains("`memory`"), "{problem:?}");
    }

    #[test]
    fn a_wrong_type_is_pointed_at() {
        let (wrong, at) = problem("[tasks.a]\nmemory = 64\n");
        assert_eq!(at, "64");
        assert!(wrong.what.contains("the number `64`") && wrong.next.contains("text"), "{wrong:?}");
        let (wrong, at) = problem("[tasks.a]\nretries = -1\n");
        assert_eq!(at, "-1", "{wrong:?}");
        let (wrong, at) = problem("[tasks.a]\nafter = [\"b\", 3]\n");
        assert_eq!(at, "3", "{wrong:?}");
        let (wrong, at) = problem("[tasks.a]\ninputs = { x = 3 }\n");
        assert_eq!(at, "3", "{wrong:?}");
        let (wrong, _) = problem("[tasks.a]\ninputs = { x = { form = \"b\" } }\n");
        assert!(wrong.next.contains("`from`"), "{wrong:?}");
    }

    #[test]
    fn what_is_no_toml_is_pointed_at() {
        let (wrong, _) = problem("[tasks.a\n");
        assert!(wrong.at.start >= 8, "{wrong:?}");
        let (wrong, _) = problem("[tasks.a]\nafter = [\n");
        assert_eq!((wrong.what.as_str(), wrong.next.as_str()), ("Unclosed array", "write `]`"));
        assert!(parse("[tasks.a]\n[tasks.a]\n").is_err());
    }
}
