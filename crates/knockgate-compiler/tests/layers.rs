//! The order of the modules: each uses only what stands before it (ARCHITECTURE.md, "The house").

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How high each module stands; none uses another of its own height.
const LAYERS: [(&str, u8); 15] = [
    ("net", 0),
    ("time", 0),
    ("console", 0),
    ("hash", 0),
    ("random", 0),
    ("diag", 1),
    ("policy", 2),
    ("program", 2),
    ("lower", 3),
    ("lift", 3),
    ("frontend", 3),
    ("sim", 3),
    ("backend", 3),
    ("audit", 4),
    ("lib", 5),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).expect("the sources").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn a_module_uses_only_what_stands_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let heights = BTreeMap::from(LAYERS);
    for path in sources(&root) {
        let inner = path.strip_prefix(&root).expect("it is below");
        let name = inner.components().next().and_then(|first| first.as_os_str().to_str()).unwrap_or_default();
        let name = name.trim_end_matches(".rs");
        let height = heights.get(name).unwrap_or_else(|| panic!("where does `{name}` stand?"));
        let text = fs::read_to_string(&path).expect("a source");
        // Tests may hold everything against everything.
        if inner.file_name().is_some_and(|file| file == "tests.rs")
            || inner.iter().any(|part| part == "tests")
        {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for used in code.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let Some(below) = heights.get(used.as_str()) else { continue };
            assert!(below < height || used == name, "{} uses {used}", inner.display());
        }
    }
}
