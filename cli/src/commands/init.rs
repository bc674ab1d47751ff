//! `meshwork init`: creates a key.

use serde::Serialize;

use crate::{context::Context, failure::Done, keys, output::Record};

#[derive(Serialize)]
struct NewKey {
    key: String,
    file: String,
}

impl Record for NewKey {
    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("key", self.key.clone()), ("file", self.file.clone())]
    }
}

/// Creates a key and prints its public half. An existing key is never overwritten.
///
/// # Errors
/// A key exists already, or the file cannot be written.
pub fn run(context: &Context) -> Done {
    let path = context.settings.key_path();
    let key = keys::generate();
    keys::create(&path, &key)?;
    let public = key.public().to_string();
    if context.output.is_json() {
        return context.output.record(&NewKey { key: public, file: path.display().to_string() });
    }
    context
        .output
        .note(&format!("A new key is in {}; keep it, nobody can make it again. Its public half is", path.display()));
    context.output.lines(&public)
}
