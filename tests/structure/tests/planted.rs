//! The checker finds each fault planted in a small workspace.

use std::{fs, path::Path};

use meshwork_structure::{
    arrows::Arrows,
    check::{Member, differences},
};

const MEMBERS: [Member<'static>; 2] = [
    Member { name: "top", folder: "top", package: "the-top" },
    Member { name: "base", folder: "base", package: "the-base" },
];

const ARROWS: &str =
    "```arrows\ncrates\n  top → base\n  base →\n\ntop\n  any → low\n  high → middle\n  high/deep → the-base\n```";

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
}

/// The differences in a workspace where these files replace the right ones.
fn wrong(files: &[(&str, &str)]) -> Vec<String> {
    let root = tempfile::tempdir().expect("a folder");
    for (file, text) in [
        ("base/Cargo.toml", "[dependencies]\nserde = \"1\"\n"),
        ("base/src/lib.rs", "pub struct Stone;"),
        ("top/Cargo.toml", "[dependencies]\nthe-base.workspace = true\n"),
        ("top/src/lib.rs", "mod high; mod middle; mod low; pub struct OfTheRoot; use crate::high::High;"),
        (
            "top/src/high/mod.rs",
            "mod deep; use crate::{OfTheRoot, middle::Middle}; pub struct High(Middle, OfTheRoot);",
        ),
        ("top/src/high/deep.rs", "use super::High; fn build() -> the_base::Stone { vec![crate::low::LOW] }"),
        ("top/src/middle.rs", "use super::low; pub struct Middle; #[cfg(test)] mod tests { use crate::high::High; }"),
        ("top/src/low.rs", "pub const LOW: u8 = 0; #[cfg(test)] mod tests;"),
    ]
    .iter()
    .chain(files)
    {
        write(root.path(), file, text);
    }
    differences(root.path(), &MEMBERS, &Arrows::parse(ARROWS).expect("good")).expect("readable")
}

#[test]
fn what_is_as_it_is_drawn_passes() {
    assert_eq!(wrong(&[]), Vec::<String>::new());
}

#[test]
fn a_wrong_import_is_found_however_it_is_written() {
    for source in [
        "use crate::middle::Middle;",
        "use crate::{OfTheRoot, middle};",
        "use super::middle::*;",
        "fn f() { let _ = crate::middle::Middle; }",
        "fn f() -> Option<crate::middle::Middle> { None }",
        "fn f() { println!(\"{:?}\", (1, crate::middle::Middle)); }",
        "mod within { use super::super::middle::Middle; }",
    ] {
        let found = wrong(&[("top/src/low.rs", source)]);
        let said = |sentence: &String| sentence.contains("low") && sentence.contains("from there to middle");
        assert!(found.iter().any(said), "{source}: {found:?}");
        assert!(found.iter().any(|sentence| sentence.contains("in a circle")), "{source}: {found:?}");
    }
}

#[test]
fn only_the_module_that_may_names_another_crate() {
    let found = wrong(&[("top/src/middle.rs", "use super::low; use the_base::Stone; pub struct Middle;")]);
    assert!(matches!(&found[..], [only] if only.contains("from there to the-base")), "{found:?}");
}

#[test]
fn a_dependency_without_an_arrow_is_found() {
    let found = wrong(&[("base/Cargo.toml", "[dependencies]\nthe-top = { path = \"../top\" }\n")]);
    assert_eq!(found, ["base depends on top, and no arrow says so"]);
}

#[test]
fn an_arrow_that_nothing_goes_by_is_found() {
    let found = wrong(&[("top/src/high/mod.rs", "mod deep; pub struct High;")]);
    assert_eq!(found, ["nothing in top goes by the arrow high → middle: take it away"]);
}
