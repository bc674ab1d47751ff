//! Reads what the sources of a crate name: its modules, followed from `lib.rs`, and every path in them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, ItemMod, ItemUse, Macro, UseTree, Visibility,
    visit::{self, Visit},
};
use thiserror::Error;

/// Why the sources could not be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, io::Error),
    /// A file is not Rust.
    #[error("{0} cannot be parsed: {1}")]
    Parse(PathBuf, syn::Error),
    /// A module has no file.
    #[error("module {0} of {1} has no file")]
    NoFile(String, PathBuf),
}

/// The target of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A top-level module of the crate.
    Module(String),
    /// Another crate of the workspace, by its name in sources.
    Crate(String),
}

/// A path that a module names.
#[derive(Clone, Debug)]
pub struct Mention {
    /// The file that names it.
    pub file: PathBuf,
    /// The module that names it, from the crate's root.
    pub module: Vec<String>,
    /// The path as it is written.
    pub path: String,
    /// Its target.
    pub target: Target,
}

/// A crate's modules, and what they name of each other and of other crates. Code for tests is left out.
#[derive(Debug, Default)]
pub struct Sources {
    /// The top-level modules of the crate.
    pub modules: Vec<String>,
    /// All paths that lead out of their module. Paths in the root are left out, because the root may know everything.
    pub mentions: Vec<Mention>,
}

impl Sources {
    /// Reads the crate whose root is `folder/src/lib.rs`. `crates` are the names of the workspace's crates in sources.
    ///
    /// # Errors
    /// A file is missing, or is not Rust.
    pub fn read(folder: &Path, crates: &[String]) -> Result<Self, SourceError> {
        let src = folder.join("src");
        let mut finder = Finder::new(crates, src.join("lib.rs"), Vec::new());
        finder.read()?;
        let modules: Vec<String> = finder.children.iter().filter_map(|child| child.last().cloned()).collect();
        let mut mentions = Vec::new();
        let mut todo: Vec<(PathBuf, Vec<String>)> =
            finder.children.into_iter().map(|child| (src.clone(), child)).collect();
        while let Some((parent, module)) = todo.pop() {
            let name = module.last().cloned().unwrap_or_default();
            let inside = parent.join(&name);
            let mut files = [inside.with_extension("rs"), inside.join("mod.rs")].into_iter();
            let file =
                files.find(|file| file.exists()).ok_or_else(|| SourceError::NoFile(module.join("::"), parent))?;
            let mut finder = Finder::new(crates, file, module.clone());
            finder.read()?;
            let depth = module.len();
            todo.extend(finder.children.into_iter().map(|child| {
                let folders = &child[depth..child.len() - 1];
                (folders.iter().fold(inside.clone(), |at, folder| at.join(folder)), child)
            }));
            mentions.append(&mut finder.mentions);
        }
        mentions.retain(|mention| match &mention.target {
            // A name that the root re-exports belongs to the root, and is no module.
            Target::Module(name) => modules.contains(name) && mention.module.first() != Some(name),
            Target::Crate(_) => true,
        });
        Ok(Self { modules, mentions })
    }
}

/// Visits one file.
struct Finder<'a> {
    crates: &'a [String],
    file: PathBuf,
    /// The module being visited.
    module: Vec<String>,
    /// Modules with files of their own.
    children: Vec<Vec<String>>,
    mentions: Vec<Mention>,
}

impl<'a> Finder<'a> {
    const fn new(crates: &'a [String], file: PathBuf, module: Vec<String>) -> Self {
        Self { crates, file, module, children: Vec::new(), mentions: Vec::new() }
    }

    fn read(&mut self) -> Result<(), SourceError> {
        let text = fs::read_to_string(&self.file).map_err(|error| SourceError::Read(self.file.clone(), error))?;
        let parsed = syn::parse_file(&text).map_err(|error| SourceError::Parse(self.file.clone(), error))?;
        self.visit_file(&parsed);
        Ok(())
    }

    /// Records a path if it leads out of the module by a name that says where.
    fn name(&mut self, segments: &[String]) {
        let Some((first, rest)) = segments.split_first() else { return };
        let target = match first.as_str() {
            "crate" => rest.first().cloned().map(Target::Module),
            "self" => self.module.first().cloned().map(Target::Module),
            "super" => {
                let up = segments.iter().take_while(|segment| *segment == "super").count();
                let left = self.module.len().saturating_sub(up);
                self.module[..left].first().or_else(|| segments.get(up)).cloned().map(Target::Module)
            }
            name if self.crates.iter().any(|known| known == name) => Some(Target::Crate(name.to_owned())),
            _ => None,
        };
        if let Some(target) = target {
            let path = segments.join("::");
            self.mentions.push(Mention { file: self.file.clone(), module: self.module.clone(), path, target });
        }
    }

    fn name_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.name_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.name(&with(&name.ident)),
            UseTree::Rename(rename) => self.name(&with(&rename.ident)),
            UseTree::Glob(_) => self.name(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.name_tree(before, tree)),
        }
    }

    /// Records paths in a macro's input, which need not be Rust.
    fn name_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons < 2 {
                        self.name(&std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.name(&std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.name_tokens(group.stream());
                    }
                }
            }
        }
        self.name(&path);
    }
}

/// Whether an item exists only in tests.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test");
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && is_test(attribute))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        match &item.content {
            Some((_, items)) => items.iter().for_each(|item| self.visit_item(item)),
            None => self.children.push(self.module.clone()),
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.name_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.name(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_path(self, &item.path);
        self.name_tokens(item.tokens.clone());
    }

    /// A visibility such as `pub(in path)` is not a use.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
