#!/usr/bin/env bash
# csv 1.4.0 (crates.io): a quote that is opened and never closed is no error. All that follows becomes one value, and rows
# are lost.
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
csv = "=1.4.0"
END
cat > "$folder/src/main.rs" <<'END'
fn main() {
    let table = "city,people\nGhent,265000\n\"Leuven,103000\nBruges,119000\nAntwerp,536000\n";
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("it reads without an error");
    println!("csv 1.4.0: of four rows, the second with an unclosed quote, it gives {}", rows.len());
    for row in &rows {
        println!("  {:?}", row.iter().collect::<Vec<_>>());
    }
    assert_eq!(rows.len(), 2);
    assert_eq!(&rows[1][0], "Leuven,103000\nBruges,119000\nAntwerp,536000\n");
}
END
cargo run --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"
