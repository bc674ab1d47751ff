#!/usr/bin/env bash
# glob 0.3.4 (crates.io): with `require_literal_leading_dot`, a pattern that begins with a dot matches a hidden file, but the
# walk by the same pattern and options finds none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'END'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
glob = "=0.3.4"
tempfile = "=3.23.0"
END
cat > "$folder/src/main.rs" <<'END'
use glob::{MatchOptions, Pattern, glob_with};

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in [".hidden.csv", "shown.csv"] {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let found = |pattern: &str, options| {
        let pattern = format!("{}/{pattern}", Pattern::escape(folder.path().to_str().expect("text")));
        glob_with(&pattern, options).expect("a pattern").count()
    };
    let matches = Pattern::new(".*.csv").expect("a pattern").matches_with(".hidden.csv", options);
    let (walked, without) = (found(".*.csv", options), found(".*.csv", MatchOptions::new()));
    println!("glob 0.3.4: `.*.csv` matches .hidden.csv: {matches}; the walk finds {walked}, and {without} without the option");
    assert_eq!(found("*.csv", options), 1, "of the two, only the one that is shown");
    assert!(matches);
    assert_eq!((walked, without), (0, 1));
}
END
cargo run --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"
