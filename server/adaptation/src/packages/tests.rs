use std::fs;

use tempfile::TempDir;

use super::*;

/// A folder with these files, `ws` in it the workspace and the rest the package managers'.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("ws")).unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What is found, as `name source`, a star before what is asked for directly.
fn found(folder: &TempDir) -> Vec<String> {
    let root = folder.path().canonicalize().unwrap();
    let workspace = Workspace::open(&[root.join("ws")]).unwrap();
    let cancel = base::CancelToken::new();
    let walk = vfs_notify::walk(&workspace, &vfs_notify::WalkOptions::default(), &cancel).unwrap();
    let own = walk.files.into_iter().map(|file| {
        let text = fs::read_to_string(file.absolute).unwrap();
        (file.path, text.into())
    });
    let places = Places {
        cargo: Some(root.join("cargo")),
        go: Some(root.join("go")),
        python: Some(root.join("env")).filter(|path| path.exists()),
    };
    let packages = find(&workspace, &own.collect::<Vec<_>>(), &places);
    let shown = packages.into_iter().map(|package| {
        let star = if package.direct { "*" } else { "" };
        let source = package.source.map_or("missing".into(), |source| {
            source.strip_prefix(&root).unwrap().to_string_lossy().into_owned()
        });
        format!("{star}{} {source}", package.name)
    });
    shown.collect()
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(found(&folder(files)), expected);
}

const REGISTRY: &str = "source = \"registry+https://example.com/index\"";

fn lock(packages: &[(&str, &str, &str)]) -> String {
    let package = |(name, version, rest): &(&str, &str, &str)| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n{rest}\n")
    };
    packages.iter().map(package).collect()
}

#[test]
fn crates_of_the_lock_file_lie_in_the_registry() {
    let lock = lock(&[
        ("shop", "0.1.0", "dependencies = [\"zeta\"]"),
        ("alpha", "1.0.0", REGISTRY),
        ("absent", "2.0.0", REGISTRY),
        ("forked", "1.0.0", "source = \"git+https://example.com/forked\""),
        ("zeta", "3.1.0-rc.1+x", REGISTRY),
    ]);
    check(
        &[
            ("ws/server/src/main.rs", ""),
            ("ws/server/Cargo.lock", &lock),
            ("cargo/registry/src/index/alpha-1.0.0/lib.rs", ""),
            ("cargo/registry/src/index/zeta-3.1.0-rc.1+x/lib.rs", ""),
            ("cargo/registry/src/index/shop-0.1.0/lib.rs", ""),
        ],
        &[
            "*zeta 3.1.0-rc.1+x cargo/registry/src/index/zeta-3.1.0-rc.1+x",
            "absent 2.0.0 missing",
            "alpha 1.0.0 cargo/registry/src/index/alpha-1.0.0",
        ],
    );
}

#[test]
fn names_lead_nowhere_else() {
    let lock = lock(&[
        ("../../../secret", "1", REGISTRY),
        ("..", "1", REGISTRY),
        ("a", "1/../../../../../secret", REGISTRY),
        ("/secret", "1", REGISTRY),
        ("b\\\\..\\\\secret", "1", REGISTRY),
    ]);
    check(
        &[
            ("ws/a.rs", ""),
            ("ws/Cargo.lock", &lock),
            (
                "ws/go.mod",
                "require ../../secret v1\nrequire a/../../secret v1\nrequire /secret v1\n",
            ),
            (
                "ws/package.json",
                r#"{"dependencies": {"../../secret": "1", "@../secret": "1", "..": "1"}}"#,
            ),
            ("ws/node_modules/.keep", ""),
            ("secret/lib.rs", ""),
            ("secret-1/lib.rs", ""),
            ("cargo/registry/src/index/.keep", ""),
        ],
        &[],
    );
}

#[test]
fn modules_lie_in_gos_cache_with_capitals_escaped() {
    check(
        &[
            (
                "ws/go.mod",
                "module example.com/shop\n\ngo 1.22\n\nrequire (\n\texample.com/Some/Log v1.2.0\n\texample.com/deep v0.1.0 // indirect\n)\nrequire example.com/gone v1.0.0\nreplace example.com/deep => ../elsewhere\n",
            ),
            ("ws/main.go", ""),
            ("go/example.com/!some/!log@v1.2.0/log.go", ""),
            ("go/example.com/deep@v0.1.0/deep.go", ""),
            ("elsewhere/deep.go", ""),
        ],
        &[
            "*example.com/Some/Log v1.2.0 go/example.com/!some/!log@v1.2.0",
            "*example.com/gone v1.0.0 missing",
            "example.com/deep v0.1.0 go/example.com/deep@v0.1.0",
        ],
    );
}

#[test]
fn packages_lie_in_node_modules_beside_and_above() {
    check(
        &[
            ("ws/package.json", r#"{"name": "shop", "dependencies": {"left": "1", "gone": "1"}}"#),
            ("ws/web/package.json", r#"{"name": "web", "devDependencies": {"@types/left": "1"}}"#),
            ("ws/web/a.ts", ""),
            ("ws/.gitignore", "node_modules"),
            ("ws/node_modules/left/index.js", ""),
            ("ws/node_modules/inner/index.js", ""),
            ("ws/node_modules/shop/index.js", ""),
            ("ws/web/node_modules/@types/left/index.d.ts", ""),
            ("ws/node_modules/.bin/left", ""),
        ],
        &[
            "*@types/left ws/web/node_modules/@types/left",
            "*gone missing",
            "*left ws/node_modules/left",
            "inner ws/node_modules/inner",
        ],
    );
}

#[test]
fn modules_lie_in_virtual_environments() {
    check(
        &[
            ("ws/shop/__init__.py", ""),
            ("ws/shop/a.py", "import left, right.inner\nfrom alone import name\n"),
            ("ws/.venv/lib/python3.12/site-packages/left/__init__.py", ""),
            ("ws/.venv/lib/python3.12/site-packages/left-1.0.dist-info/METADATA", ""),
            ("ws/.venv/lib/python3.12/site-packages/pip/__init__.py", ""),
            ("ws/.venv/lib/python3.12/site-packages/shop/__init__.py", ""),
            ("env/lib/python3.12/site-packages/alone.py", ""),
            ("env/lib/python3.12/site-packages/other/__init__.py", ""),
        ],
        &[
            "*alone env/lib/python3.12/site-packages/alone.py",
            "*left ws/.venv/lib/python3.12/site-packages/left",
            "other env/lib/python3.12/site-packages/other",
        ],
    );
}

#[test]
fn what_is_no_manifest_names_nothing() {
    check(
        &[
            ("ws/a.rs", ""),
            ("ws/Cargo.lock", "[[package"),
            ("ws/package.json", "[1, 2"),
            ("ws/go.mod", "require (\n)\n)\nrequire\n"),
            ("ws/b/package.json", r#"{"dependencies": ["left"], "name": 7}"#),
            ("ws/b/Cargo.lock", "package = 7\n"),
        ],
        &[],
    );
}

#[cfg(unix)]
#[test]
fn links_out_of_the_workspace_are_refused() {
    use std::os::unix::fs::symlink;

    let folder = folder(&[
        ("ws/package.json", r#"{"dependencies": {"out": "1", "sibling": "1", "stored": "1"}}"#),
        ("ws/sibling/index.ts", ""),
        ("ws/sub/a.ts", ""),
        ("ws/sub/package.json", "{}"),
        ("ws/node_modules/.store/stored@1/node_modules/stored/index.js", ""),
        ("secret/site/index.js", ""),
        ("secret/lib/python3.12/site-packages/secret/__init__.py", ""),
        ("secret/Cargo.lock", &lock(&[("alpha", "1", REGISTRY)])),
        ("cargo/registry/src/index/alpha-1/lib.rs", ""),
    ]);
    let root = folder.path();
    let link = |target: &str, at: &str| symlink(root.join(target), root.join(at)).unwrap();
    link("secret/site", "ws/node_modules/out");
    link("ws/sibling", "ws/node_modules/sibling");
    link("ws/node_modules/.store/stored@1/node_modules/stored", "ws/node_modules/stored");
    link("secret", "ws/.venv");
    link("secret/Cargo.lock", "ws/Cargo.lock");
    link("secret", "ws/sub/node_modules");
    assert_eq!(
        found(&folder),
        [
            "*out missing",
            "*sibling missing",
            "*stored ws/node_modules/.store/stored@1/node_modules/stored",
        ]
    );
}
