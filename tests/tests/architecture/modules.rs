//! The modules of a crate, read from its files: what each defines, imports and mentions. Test code is left out.

use crate::mentions::{Path, is_test, mentions_of, use_paths};
use std::collections::{BTreeMap, BTreeSet};
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta, Visibility};

/// A crate of ours. Its first module is the root.
pub(crate) struct Crate {
    modules: Vec<Module>,
}

/// A module, in a file of its own or within that of its parent.
#[derive(Default)]
struct Module {
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    /// The names that it defines itself.
    items: BTreeSet<String>,
    /// The names that its `use` declarations bind, with the paths behind them.
    imports: BTreeMap<String, Path>,
    /// The paths that it imports everything from.
    globs: Vec<Path>,
    /// Every path in its code. A `pub use` is none: it hands a name on and needs nothing itself.
    mentions: BTreeSet<Path>,
}

/// What a path leads to.
enum Found {
    Module(usize),
    /// The name of an item, and the module that defines it.
    Item(usize, String),
    /// Nothing of this crate, as far as can be seen.
    Unknown,
}

/// For each file the other files that it needs, with the names that it takes from them.
pub(crate) type Needs = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

impl Crate {
    /// Reads the crate whose root is the file `root`. `read` gives the text of a file, if there is one.
    ///
    /// # Panics
    /// If a file is missing or is not Rust.
    pub(crate) fn read(root: &str, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader {
            modules: Vec::new(),
            read,
        };
        let (folder, _) = root.rsplit_once('/').expect("a root lies in a folder");
        reader.file(root, folder, 0);
        Self {
            modules: reader.modules,
        }
    }

    /// Which file needs which.
    ///
    /// A file needs the file that defines what it names, whatever re-exports the name comes through.
    /// So a `mod.rs` that only declares and re-exports its children needs none of them, and is needed
    /// by none. Calls of methods are not seen, since they do not name the file of the method.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::new();
        for (place, module) in self.modules.iter().enumerate() {
            let of_file = needs.entry(module.file.clone()).or_default();
            for path in &module.mentions {
                let Found::Item(definer, name) = self.resolve(place, path, 0) else {
                    continue;
                };
                let definer = &self.modules[definer].file;
                if *definer != module.file {
                    of_file.entry(definer.clone()).or_default().insert(name);
                }
            }
        }
        needs
    }

    /// What `path` leads to from the module `from`. `depth` counts the imports followed so far,
    /// since two modules may import everything from each other.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Found {
        let (mut at, mut rest) = (from, path);
        while let [first, further @ ..] = rest {
            match first.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.modules[at].parent,
                _ => break,
            }
            rest = further;
        }
        let relative = rest.len() == path.len();
        match self.within(at, rest, depth) {
            // A macro made it, or another crate's name is handed on there.
            Found::Unknown if !relative => Found::Item(at, rest[0].clone()),
            found => found,
        }
    }

    fn within(&self, at: usize, path: &[String], depth: usize) -> Found {
        let [name, further @ ..] = path else {
            return Found::Module(at);
        };
        let module = &self.modules[at];
        if depth > 16 {
            return Found::Unknown;
        }
        if module.items.contains(name) && (further.is_empty() || !module.children.contains_key(name)) {
            return Found::Item(at, name.clone());
        }
        if let Some(child) = module.children.get(name) {
            return match self.within(*child, further, depth) {
                Found::Unknown => Found::Item(*child, further[0].clone()),
                found => found,
            };
        }
        if let Some(import) = module.imports.get(name) {
            let whole = [import, further].concat();
            return match self.resolve(at, &whole, depth + 1) {
                Found::Unknown => Found::Item(at, name.clone()),
                found => found,
            };
        }
        for glob in &module.globs {
            if let Found::Module(open) = self.resolve(at, glob, depth + 1)
                && let found @ (Found::Module(_) | Found::Item(..)) = self.within(open, path, depth + 1)
            {
                return found;
            }
        }
        Found::Unknown
    }
}

struct Reader<'a> {
    modules: Vec<Module>,
    read: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// Reads a file as a module; the files of its children lie in `folder`.
    fn file(&mut self, file: &str, folder: &str, parent: usize) -> usize {
        let text = (self.read)(file).unwrap_or_else(|| panic!("no file {file}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.module(file, folder, parent, &parsed.items)
    }

    fn module(&mut self, file: &str, folder: &str, parent: usize, items: &[Item]) -> usize {
        let place = self.modules.len();
        let mut module = Module {
            file: file.to_owned(),
            parent,
            ..Module::default()
        };
        let mut children = Vec::new();
        for item in items {
            match item {
                Item::Mod(child) if !is_test(&child.attrs) => children.push(child),
                Item::Use(item) if !is_test(&item.attrs) => module.import(item),
                Item::Mod(_) | Item::Use(_) => {}
                _ => {
                    module.items.extend(name_of(item));
                    mentions_of(item, &mut module.mentions);
                }
            }
        }
        self.modules.push(module);
        for child in children {
            let number = self.child(file, folder, place, child);
            self.modules[place].children.insert(child.ident.to_string(), number);
        }
        place
    }

    fn child(&mut self, file: &str, folder: &str, parent: usize, child: &ItemMod) -> usize {
        let name = child.ident.to_string();
        let own_folder = format!("{folder}/{name}");
        if let Some((_, items)) = &child.content {
            return self.module(file, &own_folder, parent, items);
        }
        let given = child.attrs.iter().find_map(path_attribute).map(|path| {
            let (beside, _) = file.rsplit_once('/').expect("a file lies in a folder");
            format!("{beside}/{path}")
        });
        let usual = [format!("{own_folder}.rs"), format!("{own_folder}/mod.rs")];
        let found = given.into_iter().chain(usual).find(|path| (self.read)(path).is_some());
        let found = found.unwrap_or_else(|| panic!("{file} declares `{name}`, which has no file"));
        self.file(&found, &own_folder, parent)
    }
}

impl Module {
    fn import(&mut self, item: &syn::ItemUse) {
        let private = matches!(item.vis, Visibility::Inherited);
        for (path, bound) in use_paths(item) {
            match bound.as_deref() {
                Some("*") => self.globs.push(path.clone()),
                Some(name) => {
                    self.imports.insert(name.to_owned(), path.clone());
                }
                None => {}
            }
            if private {
                self.mentions.insert(path);
            }
        }
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// The path in `#[path = "…"]`.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}
