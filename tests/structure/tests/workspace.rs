//! Checks that this workspace is as ARCHITECTURE.md draws it.

use std::path::Path;

use meshwork_structure::{
    arrows::Arrows,
    check::{Member, differences},
};

const MEMBERS: [Member<'static>; 5] = [
    Member { name: "cli", folder: "cli", package: "meshwork" },
    Member { name: "node", folder: "node", package: "meshwork-node" },
    Member { name: "sandbox", folder: "node/sandbox", package: "meshwork-sandbox" },
    Member { name: "api", folder: "node/api", package: "meshwork-api" },
    Member { name: "core", folder: "core", package: "meshwork-core" },
];

#[test]
fn everyone_knows_whom_the_architecture_says_and_nobody_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let arrows = Arrows::parse(&page).expect("arrows in ARCHITECTURE.md");
    let wrong = differences(&root, &MEMBERS, &arrows).expect("readable sources");
    assert!(wrong.is_empty(), "ARCHITECTURE.md draws it otherwise:\n{}", wrong.join("\n"));
}
