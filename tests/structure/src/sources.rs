//! What the sources of a crate name: its modules, followed from `lib.rs`, and every path in them.

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

/// Why sources could not be looked at.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, io::Error),
    /// A file is not Rust.
    #[error("{0} cannot be parsed: {1}")]
    Parse(PathBuf, syn::Error),
    /// There is no file for a module.
    #[error("module {0} of {1} has no file")]
    NoFile(String, PathBuf),
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Something in a module that stands directly in the crate.
    Module(String),
    /// Another crate of the workspace, by the name that sources call it by.
    Crate(String),
}

/// A path that a module names.
#[derive(Clone, Debug)]
pub struct Mention {
    /// Where.
    pub file: PathBuf,
    /// The module in which it stands, from the crate's root.
    pub module: Vec<String>,
    /// As it is written.
    pub path: String,
    /// Where it leads.
    pub target: Target,
}

/// A crate's modules and what they name of each other and of other crates. Tests are left out.
#[derive(Debug, Default)]
pub struct Sources {
    /// The modules that stand directly in the crate.
    pub modules: Vec<String>,
    /// All that is named, besides what a module names within itself. What the root names is left out: it knows all.
    pub mentions: Vec<Mention>,
}

impl Sources {
    /// Reads the crate whose root is in `folder/src/lib.rs`. `crates` are the names by which sources call the
    /// workspace's crates.
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
            // What the root names for all is a name of the root's, and no module.
            Target::Module(name) => modules.contains(name) && mention.module.first() != Some(name),
            Target::Crate(_) => true,
        });
        Ok(Self { modules, mentions })
    }
}

/// Looks through one file.
struct Finder<'a> {
    crates: &'a [String],
    file: PathBuf,
    /// The module that is looked at.
    module: Vec<String>,
    /// Modules that have files of their own.
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

    /// Takes in a path, if it leads out of the module by a name that says where.
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

    /// Paths in what a macro is given, which need not be Rust.
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

/// Whether something is there in tests only.
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

    /// Who may see something knows nothing by that.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
