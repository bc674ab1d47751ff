//! Compares the drawn arrows with the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    arrows::{Arrows, Rows, row_for},
    sources::{Mention, Sources, Target},
};

/// A member of the workspace.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its name among the arrows.
    pub name: &'a str,
    /// Its folder, relative to the workspace.
    pub folder: &'a str,
    /// Its package.
    pub package: &'a str,
}

impl Member<'_> {
    fn in_sources(&self) -> String {
        self.package.replace('-', "_")
    }
}

/// Every difference between the workspace at `root` and the arrows, as sentences.
///
/// # Errors
/// A manifest or a source cannot be read.
pub fn differences(root: &Path, members: &[Member<'_>], arrows: &Arrows) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for member in members {
        wrong.extend(of_manifest(root, member, members, &arrows.crates)?);
    }
    let crates: Vec<String> = members.iter().map(Member::in_sources).collect();
    for (name, rows) in &arrows.modules {
        let Some(member) = members.iter().find(|member| member.name == name) else {
            wrong.push(format!("{name} is no crate of this workspace"));
            continue;
        };
        let sources = Sources::read(&root.join(member.folder), &crates).map_err(|error| error.to_string())?;
        wrong.extend(of_modules(root, name, &sources, rows));
        wrong.extend(circle(&sources).map(|circle| format!("modules of {name} know each other in a circle: {circle}")));
    }
    Ok(wrong)
}

/// Compares a manifest's dependencies with the arrows, except dependencies for tests.
fn of_manifest(root: &Path, member: &Member<'_>, members: &[Member<'_>], rows: &Rows) -> Result<Vec<String>, String> {
    let path = root.join(member.folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let manifest: toml::Table = text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
    let name = member.name;
    let Some(drawn) = rows.get(name) else { return Ok(vec![format!("{name} has no row among the crates")]) };
    let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
    let found: BTreeSet<&str> = members
        .iter()
        .filter(|other| dependencies.is_some_and(|table| table.contains_key(other.package)))
        .map(|other| other.name)
        .collect();
    let drawn: BTreeSet<&str> = drawn.iter().map(String::as_str).collect();
    let more = found.difference(&drawn).map(|other| format!("{name} depends on {other}, and no arrow says so"));
    let fewer = drawn.difference(&found).map(|other| format!("{name} does not depend on {other}, as an arrow says"));
    Ok(more.chain(fewer).collect())
}

fn of_modules(root: &Path, name: &str, sources: &Sources, rows: &Rows) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    for Mention { file, module, path, target } in &sources.mentions {
        let known = match target {
            Target::Module(name) => name.clone(),
            Target::Crate(name) => name.replace('_', "-"),
        };
        match row_for(rows, module, &known) {
            Some(row) => drop(used.insert((row, known))),
            None => drop(wrong.insert(format!(
                "{} of {name} names {path} in {}, and no arrow leads from there to {known}",
                module.join("::"),
                file.strip_prefix(root).unwrap_or(file).display()
            ))),
        }
    }
    for (row, known) in rows.iter().flat_map(|(row, known)| known.iter().map(move |known| (row, known))) {
        if !used.contains(&(row.as_str(), known.clone())) {
            wrong.insert(format!("nothing in {name} goes by the arrow {row} → {known}: take it away"));
        }
    }
    wrong.into_iter().collect()
}

/// Finds modules that know each other in a circle.
fn circle(sources: &Sources) -> Option<String> {
    let mut knows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for mention in &sources.mentions {
        if let (Some(from), Target::Module(to)) = (mention.module.first(), &mention.target) {
            knows.entry(from).or_default().insert(to);
        }
    }
    // A module that knows no remaining module is in no circle.
    loop {
        let left: BTreeSet<&str> = knows.keys().copied().collect();
        knows.values_mut().for_each(|known| known.retain(|other| left.contains(other)));
        let before = knows.len();
        knows.retain(|_, known| !known.is_empty());
        if knows.len() == before {
            break;
        }
    }
    let arrow = |(from, to): (&&str, &BTreeSet<&str>)| {
        format!("{from} → {}", to.iter().copied().collect::<Vec<_>>().join(", "))
    };
    (!knows.is_empty()).then(|| knows.iter().map(arrow).collect::<Vec<_>>().join("; "))
}
