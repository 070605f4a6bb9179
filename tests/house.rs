//! The rules of the house, read from its own text: who may import whom, what the lower floors keep out, how files are
//! made. `ARCHITECTURE.md` says why.
//!
//! The reader here knows as much of Rust as it needs: it blanks comments and literals, leaves `#[cfg(test)]` items out,
//! and follows every path that begins with `crate`, `super` or `self`.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the ground up. A module imports from lower floors and from its own parts, never from beside.
const FLOORS: &[&[&str]] = &[
    &[
        "error", "units", "metrics", "log", "phase", "tls", "location", "grpc", "delegate",
    ],
    &["config", "change"],
    &["endpoint", "header", "policy"],
    &["balance"],
    &["pool"],
    &["split"],
    &["route"],
    &["snapshot"],
    &["clock", "dial", "socket", "supervisor", "wire"],
    &["body", "access_log", "probe", "discovery", "listener"],
    &["upstream"],
    &["response"],
    &["request", "control"],
    &["connection", "admin"],
    &["worker", "shutdown"],
    &["run", "local"],
    &["cli"],
    &["lib", "main"],
];

/// The highest floor that decides only: no `async`, no sockets, no clock of its own.
const PURE: usize = 7;

/// What a file of the pure floors needs all the same, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "src/phase.rs",
        "Instant::now",
        "a heartbeat is a moment of the real clock",
    ),
    (
        "src/config/check/tls.rs",
        "SystemTime::now",
        "whether a certificate is about to expire depends on the day",
    ),
    (
        "src/snapshot/store.rs",
        "async",
        "the wake-up of those who wait for the next snapshot",
    ),
];

/// Modules whose rooms import each other all the same, and why.
const CIRCLES: &[(&str, &str)] = &[
    (
        "request::",
        "a connection holds the book of its last answer, and a book holds the worker that it is kept at",
    ),
    (
        "upstream::",
        "a worker's table holds its connections, and a connection the table that it goes back to",
    ),
];

/// No file is longer than this without its tests: beyond it there is a seam to be found.
const LONGEST: usize = 450;

#[test]
fn a_file_imports_from_lower_floors_and_from_its_own_parts() {
    let house = House::read();
    let wrong = house.judge_imports(|from, to| {
        let (own, other) = (from.name(), to.name());
        let ranks = rank(own).zip(rank(other));
        match ranks {
            None => Some(format!("{own} or {other} stands on no floor")),
            Some((upper, lower)) if own != other && lower >= upper => {
                Some(format!("{own} is on floor {upper}, {other} on {lower}"))
            }
            Some(_) => None,
        }
    });
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_room_does_not_import_its_door() {
    let house = House::read();
    let wrong = house.judge_imports(|from, to| {
        let below = from.0.len() > to.0.len() && from.0.starts_with(&to.0);
        below.then(|| "what rooms share has a file of its own".to_owned())
    });
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let house = House::read();
    let mut imported: BTreeMap<Module, BTreeSet<Module>> = house
        .files
        .iter()
        .map(|file| {
            let homes = file.imports.iter().map(|import| house.home(import));
            let others = homes.filter(|home| *home != file.module);
            (file.module.clone(), others.collect())
        })
        .collect();
    // Who imports nobody is in no circle, and without these others import nobody; circles, and who leads into one,
    // are left over.
    loop {
        let before = imported.len();
        let free: Vec<Module> = imported
            .iter()
            .filter(|(_, homes)| homes.iter().all(|home| !imported.contains_key(home)))
            .map(|(module, _)| module.clone())
            .collect();
        for module in free {
            imported.remove(&module);
        }
        if imported.len() == before {
            break;
        }
    }
    // The other way round, those who only lead into one are taken off.
    loop {
        let wanted: BTreeSet<Module> = imported.values().flatten().cloned().collect();
        let before = imported.len();
        imported.retain(|module, _| wanted.contains(module));
        if imported.len() == before {
            break;
        }
    }
    let left: BTreeSet<String> = imported.keys().map(|module| module.0.join("::")).collect();
    let known = |module: &&String| {
        let of = |(circle, _): &(&str, &str)| module.starts_with(circle);
        CIRCLES.iter().any(of)
    };
    let new: Vec<&String> = left.iter().filter(|module| !known(module)).collect();
    assert!(new.is_empty(), "circles among {new:?}");
    for (circle, why) in CIRCLES {
        let stands = left.iter().any(|module| module.starts_with(circle));
        assert!(stands, "{circle} has no circle any more ({why})");
    }
}

#[test]
fn nothing_is_imported_by_a_star_outside_tests() {
    let house = House::read();
    let wrong: String = house
        .files
        .iter()
        .flat_map(|file| file.imports.iter().map(move |import| (file, import)))
        .filter(|(_, import)| import.last().is_some_and(|last| last == "*"))
        .map(|(file, import)| format!("{}: {}\n", file.path.display(), import.join("::")))
        .collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_lower_floors_have_no_async_no_sockets_and_no_clock() {
    let house = House::read();
    let mut wrong = String::new();
    for file in &house.files {
        if rank(file.module.name()).is_none_or(|rank| rank > PURE) {
            continue;
        }
        for word in [
            "async",
            "Instant::now",
            "SystemTime::now",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "tokio::net",
        ] {
            let excepted = EXCEPTIONS
                .iter()
                .any(|(path, excepted, _)| file.path == Path::new(path) && *excepted == word);
            for place in places(&file.code, word) {
                if !excepted {
                    let line = line_of(&file.code, place);
                    writeln!(wrong, "{}:{line}: {word}", file.path.display()).unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_exception_is_still_needed() {
    let house = House::read();
    for (path, word, why) in EXCEPTIONS {
        let needs =
            |file: &&File| file.path == Path::new(path) && !places(&file.code, word).is_empty();
        assert!(
            house.files.iter().any(|file| needs(&file)),
            "{path} has no {word} any more ({why})"
        );
    }
}

#[test]
fn there_is_one_swap_in_the_crate() {
    let house = House::read();
    let swaps: Vec<&Path> = house
        .files
        .iter()
        .filter(|file| !places(&file.code, "ArcSwap").is_empty())
        .map(|file| file.path.as_path())
        .collect();
    assert_eq!(swaps, [Path::new("src/snapshot/store.rs")]);
    let store = house.files.iter().find(|file| file.path == swaps[0]);
    let made = store.map(|file| file.code.matches("ArcSwap::").count());
    assert_eq!(made, Some(1), "made once, in one field");
}

#[test]
fn a_door_is_never_called_mod_rs() {
    let wrong: Vec<PathBuf> = rust_files(Path::new("src"))
        .into_iter()
        .filter(|path| path.ends_with("mod.rs"))
        .collect();
    assert_eq!(wrong, Vec::<PathBuf>::new());
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for folder in ["src", "tests", "benches", "examples"] {
        for path in rust_files(Path::new(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{}", path.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_can_be_walked() {
    let mut wrong = String::new();
    for path in rust_files(Path::new("src")) {
        if is_of_tests(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = blank_tests(&blank(&text), &text).trim_end().lines().count();
        if lines > LONGEST {
            writeln!(wrong, "{}: {lines} lines", path.display()).unwrap();
        }
    }
    assert!(
        wrong.is_empty(),
        "over {LONGEST} lines without tests:\n{wrong}"
    );
}

#[test]
fn what_stands_below_comes_from_the_registry_and_speaks_http_once() {
    let lock = fs::read_to_string("Cargo.lock").unwrap();
    let sources = lock.lines().filter(|line| line.starts_with("source = "));
    let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let foreign: Vec<&str> = sources.filter(|source| *source != registry).collect();
    assert_eq!(foreign, Vec::<&str>::new());
    for name in ["http", "hyper", "tokio"] {
        let named = format!("name = \"{name}\"");
        let versions = lock.lines().filter(|line| **line == named).count();
        assert_eq!(versions, 1, "{name}");
    }
}

#[test]
fn the_reader_sees_what_is_code_and_nothing_else() {
    let text = r##"
use crate::a::{self, b::C, d::{E, F as G}};
// use crate::comment;
/* crate::block /* nested */ crate::block */
const TEXT: &str = "crate::text \" crate::text";
const RAW: &str = r#"crate::raw " crate::raw"#;
fn quote<'a>(x: &'a str) -> char { let _ = ('"', '\'', b'"'); crate::h::i(x) }
#[cfg(test)]
mod tests { use crate::test::{A, B}; }
#[cfg(test)]
use crate::test::only;
fn last() -> super::J { self::k::l() }
"##;
    let code = blank_tests(&blank(text), &blank(text));
    let module = Module(vec!["x".into(), "y".into()]);
    let found: Vec<String> = imports(&code, &module)
        .iter()
        .map(|import| import.join("::"))
        .collect();
    assert_eq!(
        found,
        [
            "a",
            "a::b::C",
            "a::d::E",
            "a::d::F",
            "h::i",
            "x::J",
            "x::y::k::l"
        ]
    );
}

/// All the code there is.
struct House {
    files: Vec<File>,
    modules: BTreeSet<Module>,
}

struct File {
    path: PathBuf,
    module: Module,
    /// Without comments, literals and tests.
    code: String,
    /// Paths within the crate, from its root.
    imports: Vec<Vec<String>>,
}

/// A module by its path from the crate's root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Module(Vec<String>);

impl Module {
    /// The name that has a floor.
    fn name(&self) -> &str {
        &self.0[0]
    }
}

impl House {
    fn read() -> Self {
        let paths: Vec<PathBuf> = rust_files(Path::new("src"))
            .into_iter()
            .filter(|path| !is_of_tests(path))
            .collect();
        assert!(paths.len() > 50, "only {} files", paths.len());
        let files: Vec<File> = paths
            .into_iter()
            .map(|path| {
                let text = blank(&fs::read_to_string(&path).unwrap());
                let code = blank_tests(&text, &text);
                let inside = path.strip_prefix("src").unwrap().with_extension("");
                let names = inside.iter().map(|name| name.to_str().unwrap().to_owned());
                let module = Module(names.collect());
                let imports = imports(&code, &module);
                File {
                    path,
                    module,
                    code,
                    imports,
                }
            })
            .collect();
        let modules = files.iter().map(|file| file.module.clone()).collect();
        Self { files, modules }
    }

    /// The module whose file has what a path names: the deepest there is.
    fn home(&self, import: &[String]) -> Module {
        (1..=import.len())
            .rev()
            .map(|length| Module(import[..length].to_vec()))
            .find(|module| self.modules.contains(module))
            // What lies at the root is re-exported by the library.
            .unwrap_or_else(|| Module(vec!["lib".to_owned()]))
    }

    /// A line for each import that is judged wrong.
    fn judge_imports(&self, judge: impl Fn(&Module, &Module) -> Option<String>) -> String {
        let mut wrong = String::new();
        for file in &self.files {
            for import in &file.imports {
                let home = self.home(import);
                if let Some(why) = judge(&file.module, &home) {
                    let (path, import) = (file.path.display(), import.join("::"));
                    writeln!(wrong, "{path} imports {import}: {why}").unwrap();
                }
            }
        }
        wrong
    }
}

fn rank(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

fn is_of_tests(path: &Path) -> bool {
    path.iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Where a word stands on its own.
fn places(code: &str, word: &str) -> Vec<usize> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word)
        .map(|(place, _)| place)
        .filter(|place| {
            let (before, after) = (&code[..*place], &code[place + word.len()..]);
            !before.ends_with(is_part) && (word.ends_with('<') || !after.starts_with(is_part))
        })
        .collect()
}

fn line_of(code: &str, place: usize) -> usize {
    code[..place].matches('\n').count() + 1
}

/// The text with comments and literals as spaces; lines stay where they are.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let name_before = out.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            quoted(rest)
        } else if !name_before && let Some(length) = raw_text(rest) {
            length
        } else if first == '\'' {
            character(rest).unwrap_or(0)
        } else {
            0
        };
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let blanked = rest[..length].chars().map(|letter| match letter {
                '\n' => '\n',
                _ => ' ',
            });
            out.extend(blanked);
            rest = &rest[length..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut place = 0;
    while place < text.len() {
        if text[place..].starts_with("/*") {
            depth += 1;
            place += 2;
        } else if text[place..].starts_with("*/") {
            depth -= 1;
            place += 2;
            if depth == 0 {
                return place;
            }
        } else {
            place += text[place..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (place, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_text(text: &str) -> Option<usize> {
    let prefix = if text.starts_with("br") {
        2
    } else {
        usize::from(text.starts_with('r'))
    };
    let hashes = text[prefix..].len() - text[prefix..].trim_start_matches('#').len();
    let begin = prefix + hashes;
    if prefix == 0 || !text[begin..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text[begin + 1..].find(&end)?;
    Some(begin + 1 + length + end.len())
}

/// A character literal, not a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = &text[1..];
    if let Some(escape) = inside.strip_prefix('\\') {
        let first = escape.chars().next()?.len_utf8();
        return escape[first..].find('\'').map(|end| 2 + first + end + 1);
    }
    let first = inside.chars().next()?.len_utf8();
    inside[first..].starts_with('\'').then_some(first + 2)
}

/// `text` without the items that are only there for tests, found in `code`, its blanked form.
fn blank_tests(code: &str, text: &str) -> String {
    let mut out = String::new();
    let (mut code, mut text) = (code, text);
    while let Some(place) = code.find("#[cfg(test)]") {
        // Blanking keeps characters, not octets.
        let characters = code[..place].chars().count();
        let skipped = characters + item_length(&code[place..]);
        out.extend(text.chars().take(characters));
        code = after(code, skipped);
        text = after(text, skipped);
    }
    out + text
}

fn after(text: &str, characters: usize) -> &str {
    text.char_indices()
        .nth(characters)
        .map_or("", |(place, _)| &text[place..])
}

/// How many characters an item takes: to its `;`, or to the end of its braces.
fn item_length(code: &str) -> usize {
    let mut depth = 0;
    for (count, letter) in code.chars().enumerate() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0
                    && !code
                        .trim_start_matches("#[cfg(test)]")
                        .trim_start()
                        .starts_with("use")
                {
                    return count + 1;
                }
            }
            ';' if depth == 0 => return count + 1,
            _ => {}
        }
    }
    code.chars().count()
}

/// Every path of the crate that is named, from the crate's root; a group is taken apart.
fn imports(code: &str, module: &Module) -> Vec<Vec<String>> {
    let mut found: Vec<(usize, Vec<String>)> = Vec::new();
    for word in ["crate::", "super::", "self::"] {
        for place in places(code, word.trim_end_matches(':')) {
            let before = code[..place].trim_end();
            if !code[place..].starts_with(word) || before.ends_with("::") || before.ends_with('$') {
                continue;
            }
            let mut rest = &code[place..];
            let mut base = match word {
                "crate::" => Vec::new(),
                _ => module.0.clone(),
            };
            rest = rest.strip_prefix("crate::").unwrap_or(rest);
            rest = rest.strip_prefix("self::").unwrap_or(rest);
            while let Some(above) = rest.strip_prefix("super::") {
                base.pop();
                rest = above;
            }
            let mut paths = Vec::new();
            path(rest, &base, &mut paths);
            found.extend(paths.into_iter().map(|path| (place, path)));
        }
    }
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, path)| path).collect()
}

/// Reads one path, or a group of them, after `base`; gives back what follows.
fn path<'a>(mut rest: &'a str, base: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path_so_far = base.to_vec();
    loop {
        rest = rest.trim_start();
        if let Some(mut inside) = rest.strip_prefix('{') {
            loop {
                inside = inside.trim_start().trim_start_matches(',').trim_start();
                match inside.strip_prefix('}') {
                    Some(behind) => return behind,
                    None if inside.is_empty() => return inside,
                    None => inside = path(inside, &path_so_far, found),
                }
            }
        }
        if let Some(behind) = rest.strip_prefix('*') {
            path_so_far.push("*".to_owned());
            found.push(path_so_far);
            return behind;
        }
        let end = rest
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if end == 0 {
            // Not a path after all; leave it to the caller, one letter on.
            return rest.get(1..).unwrap_or("");
        }
        rest = &rest[end..];
        if name != "self" {
            path_so_far.push(name.to_owned());
        }
        if let Some(behind) = rest.strip_prefix("::")
            && !behind.starts_with('<')
        {
            rest = behind;
            continue;
        }
        found.push(path_so_far);
        let renamed = rest.trim_start().strip_prefix("as ");
        return match renamed {
            Some(name) => name.trim_start_matches(|letter: char| {
                letter.is_alphanumeric() || letter == '_' || letter == ' '
            }),
            None => rest,
        };
    }
}
