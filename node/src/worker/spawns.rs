//! Reads what a program spawns: a file below `/out` with a line of JSON for each task, such as `{"arguments": ["3"],
//! "inputs": {"part": "parts/3"}}`.

use std::collections::BTreeMap;

use meshwork_core::{codec, types::Spawn};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Line {
    arguments: Vec<String>,
    inputs: BTreeMap<String, String>,
}

/// Reads the spawn file, and removes it from a program's output. Without such a file, there are no spawns.
///
/// # Errors
/// A sentence on what is wrong with the file, which remains: it cannot be parsed, or it spawns too much at once.
pub(super) fn take(files: &mut Vec<(String, Vec<u8>)>) -> Result<Vec<Spawn>, String> {
    let Some(at) = files.iter().position(|(path, _)| path == Spawn::FILE) else { return Ok(Vec::new()) };
    let text = str::from_utf8(&files[at].1).map_err(|error| format!("{} is not UTF-8: {error}", Spawn::FILE))?;
    let mut spawns = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let Line { arguments, inputs } =
            serde_json::from_str(line).map_err(|error| format!("{}, line {number}: {error}", Spawn::FILE))?;
        spawns.push(Spawn { arguments, inputs: inputs.into_iter().collect() });
        if spawns.len() > Spawn::SPAWNS_MAX {
            return Err(format!("{} has more than {} lines", Spawn::FILE, Spawn::SPAWNS_MAX));
        }
    }
    if codec::encode(&spawns).len() > Spawn::BYTES_MAX {
        return Err(format!("{} asks in more than {} bytes", Spawn::FILE, Spawn::BYTES_MAX));
    }
    files.remove(at);
    Ok(spawns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<(String, Vec<u8>)> {
        vec![("other".into(), b"kept".to_vec()), (Spawn::FILE.into(), text.as_bytes().to_vec())]
    }

    #[test]
    fn each_line_is_a_task_and_the_file_is_gone() {
        let mut left = files("{\"arguments\":[\"a\",\"b\"]}\n\n{\"inputs\":{\"part\":\"parts/3\"}}\n");
        let spawns = take(&mut left).expect("good");
        assert_eq!(spawns[0], Spawn { arguments: vec!["a".into(), "b".into()], inputs: Vec::new() });
        assert_eq!(spawns[1].inputs, [("part".to_owned(), "parts/3".to_owned())]);
        assert_eq!((spawns.len(), left.len()), (2, 1));
        assert_eq!(take(&mut left), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_understood_is_named_with_its_line() {
        let error = |text: &str| take(&mut files(text)).expect_err("bad");
        assert!(error("{}\n{\"argument\":[]}").contains("line 2"));
        assert!(error("3").contains("line 1"));
        assert!(error(&"{}\n".repeat(Spawn::SPAWNS_MAX + 1)).contains("lines"));
        assert!(error(&format!("{{\"arguments\":[\"{}\"]}}", "x".repeat(Spawn::BYTES_MAX))).contains("bytes"));
        let mut left = files("3");
        take(&mut left).expect_err("bad");
        assert_eq!(left, files("3"), "it is kept for whoever looks for what is wrong");
    }
}
