//! The rooms of a crate (its folders and files) and which of them name which, read from the code's own paths.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module by the names that lead to it from the crate's root, which is empty.
pub type Module = Vec<String>;

/// By a module and a name in it: the path below that module by which a child of it has that name.
type PassedOn = BTreeMap<(Module, String), Vec<String>>;

/// A public type, and the file that defines it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defined {
    pub name: String,
    pub file: PathBuf,
}

/// What a crate's code says, tests left out.
pub struct House {
    files: BTreeMap<Module, PathBuf>,
    /// What each module names, by paths that begin with `crate`, `super` or `self`, resolved to the module that is meant.
    names: BTreeMap<Module, BTreeSet<Module>>,
    types: Vec<Defined>,
}

impl House {
    /// Reads all Rust files below the folder `src` of a crate.
    pub fn read(src: &Path) -> Self {
        let mut code = BTreeMap::new();
        let mut only_for_tests: Vec<Module> = Vec::new();
        let mut files: BTreeMap<Module, PathBuf> = BTreeMap::new();
        for file in super::sources(src) {
            let module = module_of(src, &file);
            let (tokens, tests) = code_of(&file);
            only_for_tests.extend(tests.into_iter().map(|name| [&module[..], &[name]].concat()));
            code.insert(module.clone(), tokens);
            files.insert(module, file);
        }
        let is_shipped = |module: &Module| !only_for_tests.iter().any(|tests| module.starts_with(tests));
        code.retain(|module, _| is_shipped(module));
        files.retain(|module, _| is_shipped(module));
        let passed_on: PassedOn = code
            .iter()
            .flat_map(|(module, tokens)| {
                passed_on(tokens)
                    .into_iter()
                    .map(|(name, path)| ((module.clone(), name), path))
            })
            .collect();
        let names = code
            .iter()
            .map(|(module, tokens)| {
                let meant = paths(tokens)
                    .into_iter()
                    .filter_map(|path| resolve(&files, &passed_on, module, &path))
                    .filter(|meant| meant != module)
                    .collect();
                (module.clone(), meant)
            })
            .collect();
        let types = code
            .iter()
            .flat_map(|(module, tokens)| {
                let file = files[module].clone();
                public_types(tokens).into_iter().map(move |name| Defined {
                    name,
                    file: file.clone(),
                })
            })
            .collect();
        Self { files, names, types }
    }

    /// Its public types, those of the crate alone (`pub(crate)`) too.
    pub fn types(&self) -> &[Defined] {
        &self.types
    }

    /// Pairs of neighbours that name each other, on whatever way, with what ties the one to the other: one line a pair.
    pub fn circles(&self) -> Vec<String> {
        let mut levels: BTreeMap<Module, BTreeMap<(String, String), String>> = BTreeMap::new();
        for (from, meant) in &self.names {
            for to in meant {
                let shared = from.iter().zip(to).take_while(|(one, other)| one == other).count();
                if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                    let tie = format!("{} names {}", from.join("::"), to.join("::"));
                    let level = levels.entry(from[..shared].to_vec()).or_default();
                    level.insert((one.clone(), other.clone()), tie);
                }
            }
        }
        let mut found = Vec::new();
        for arrows in levels.values() {
            let reach = reached(arrows.keys());
            for ((one, other), tie) in arrows {
                if reach.contains(&(other.clone(), one.clone())) {
                    found.push(tie.clone());
                }
            }
        }
        found
    }

    /// How many files were read.
    pub fn len(&self) -> usize {
        self.files.len()
    }
}

/// Every pair of which the first leads to the second, over one arrow or more.
fn reached<'a>(arrows: impl Iterator<Item = &'a (String, String)>) -> BTreeSet<(String, String)> {
    let mut reach: BTreeSet<(String, String)> = arrows.cloned().collect();
    loop {
        let further: Vec<_> = reach
            .iter()
            .flat_map(|(from, by)| {
                reach
                    .iter()
                    .filter(move |(start, _)| start == by)
                    .map(move |(_, to)| (from.clone(), to.clone()))
            })
            .filter(|pair| !reach.contains(pair))
            .collect();
        if further.is_empty() {
            return reach;
        }
        reach.extend(further);
    }
}

fn module_of(src: &Path, file: &Path) -> Module {
    let inside = file.strip_prefix(src).unwrap().with_extension("");
    let mut names: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|last| last == "mod") || names == ["lib"] || names == ["main"] {
        names.pop();
    }
    names
}

/// The tokens of a file without what stands behind `#[cfg(test)]`, and the modules that are declared there.
fn code_of(file: &Path) -> (Vec<TokenTree>, Vec<String>) {
    let text = fs::read_to_string(file).unwrap();
    let stream: TokenStream = text
        .parse()
        .unwrap_or_else(|error| panic!("{} is not Rust: {error}", file.display()));
    let (mut kept, mut tests) = (Vec::new(), Vec::new());
    let mut tokens = stream.into_iter();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Group(group) if is_cfg_test(group) => {
                kept.pop(); // the `#`
                let mut last = String::new();
                for skipped in tokens.by_ref() {
                    match &skipped {
                        TokenTree::Ident(name) if last == "mod" => tests.push(name.to_string()),
                        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                        TokenTree::Punct(punct) if punct.as_char() == ';' => break,
                        _ => {}
                    }
                    last = skipped.to_string();
                }
            }
            _ => kept.push(token),
        }
    }
    (kept, tests)
}

fn is_cfg_test(group: &proc_macro2::Group) -> bool {
    group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// All paths that begin with `crate`, `super` or `self`, each use tree as its single paths.
fn paths(tokens: &[TokenTree]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(ident) if ["crate", "super", "self"].contains(&ident.to_string().as_str()) => {
                let (path, behind) = path(tokens, at);
                found.extend(path.into_iter().filter(|path| path.len() > 1));
                at = behind.max(at + 1);
            }
            TokenTree::Group(group) => {
                found.extend(paths(&group.stream().into_iter().collect::<Vec<_>>()));
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// The paths that the path or use tree at `at` stands for, and the place behind it.
fn path(tokens: &[TokenTree], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut path = Vec::new();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => path.push(ident.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && !path.is_empty() => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut all = Vec::new();
                for branch in inside.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ',')) {
                    for rest in self::path(branch, 0).0 {
                        let rest = rest.into_iter().filter(|name| name != "self");
                        all.push(path.iter().cloned().chain(rest).collect());
                    }
                }
                return (all, at + 1);
            }
            _ => return (vec![path], at),
        }
        at += 1;
        let colon = |at: usize, spacing| matches!(tokens.get(at), Some(TokenTree::Punct(colon)) if colon.as_char() == ':' && colon.spacing() == spacing);
        if !(colon(at, Spacing::Joint) && colon(at + 1, Spacing::Alone)) {
            return (vec![path], at);
        }
        at += 2;
    }
}

/// The names that a module takes from its own children, and so passes on to whoever names it: name, and path below it.
fn passed_on(tokens: &[TokenTree]) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token, TokenTree::Ident(ident) if *ident == "use") {
            let (all, _) = path(tokens, at + 1);
            for path in all {
                let path: Vec<String> = path.into_iter().skip_while(|name| name == "self").collect();
                if let Some(name) = path.last().cloned() {
                    found.push((name, path));
                }
            }
        }
    }
    found
}

/// The module that a path means, seen from `module`; a name that a module passes on is the child's that has it.
fn resolve(
    files: &BTreeMap<Module, PathBuf>,
    passed_on: &PassedOn,
    module: &Module,
    path: &[String],
) -> Option<Module> {
    let mut at = module.clone();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => {
            at.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        _ => {
            while rest.first().is_some_and(|name| name == "super") {
                at.pop()?;
                rest = &rest[1..];
            }
        }
    }
    loop {
        let Some((name, behind)) = rest.split_first() else {
            return Some(at);
        };
        let child: Module = at.iter().chain([name]).cloned().collect();
        if files.contains_key(&child) {
            at = child;
            rest = behind;
            continue;
        }
        let from_child = passed_on.get(&(at.clone(), name.clone())).filter(|path| {
            path.first()
                .is_some_and(|first| files.contains_key(&at.iter().chain([first]).cloned().collect::<Module>()))
        });
        let Some(from_child) = from_child else {
            return Some(at);
        };
        rest = from_child;
    }
}

/// Types that others may name: behind `pub` or `pub(crate)`.
fn public_types(tokens: &[TokenTree]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token
            && group.delimiter() == Delimiter::Brace
        {
            found.extend(public_types(&group.stream().into_iter().collect::<Vec<_>>()));
        }
        if !matches!(token, TokenTree::Ident(ident) if *ident == "pub") {
            continue;
        }
        let behind = match tokens.get(at + 1) {
            Some(TokenTree::Group(group)) if group.stream().to_string() == "crate" => at + 2,
            _ => at + 1,
        };
        if let (Some(TokenTree::Ident(what)), Some(TokenTree::Ident(name))) =
            (tokens.get(behind), tokens.get(behind + 1))
            && ["struct", "enum", "type", "trait"].contains(&what.to_string().as_str())
        {
            found.insert(name.to_string());
        }
    }
    found
}
