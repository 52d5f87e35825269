use std::path::Path;

use crate::config::{AuthSettings, Settings, Sources};

const ONE: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const TWO: &str = "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7";

fn sources(folder: &Path, toml: &str, variables: &[(&str, &str)]) -> Sources {
    let file = folder.join("t.toml");
    std::fs::write(&file, toml).unwrap();
    let variables = variables.iter();
    Sources {
        file: Some(file),
        environment: variables
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Sources::default()
    }
}

fn load(sources: &Sources) -> Result<Vec<String>, String> {
    let all = Settings::load(sources).map_err(|error| error.to_string());
    let alone = AuthSettings::load(sources).map_err(|error| error.to_string());
    let names = |auth: AuthSettings| {
        auth.keys
            .into_iter()
            .map(|key| key.name)
            .collect::<Vec<_>>()
    };
    let (all, alone) = (all.map(|all| names(all.auth)), alone.map(names));
    assert_eq!(all, alone, "read alone they are the same");
    all
}

fn key(name: &str, sha256: &str) -> String {
    format!("name = \"{name}\"\ntenant = \"t\"\nowner = \"{name}\"\nsha256 = \"{sha256}\"\n")
}

#[test]
fn keys_come_from_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let in_settings = format!("[[auth.keys]]\n{}", key("settings", ONE));
    assert_eq!(
        load(&sources(path, &in_settings, &[])).unwrap(),
        ["settings"]
    );
    let json = format!(
        "[{{\"name\": \"env\", \"tenant\": \"t\", \"owner\": \"o\", \"sha256\": \"{TWO}\", \"scopes\": [\"tools:call\"]}}]"
    );
    let variables = [("TALKGRAPH_AUTH__KEYS", json.as_str())];
    assert_eq!(
        load(&sources(path, &in_settings, &variables)).unwrap(),
        ["env"]
    );

    let file = path.join("keys");
    let variables = [("TALKGRAPH_AUTH__KEYS_FILE", file.to_str().unwrap())];
    let sources = sources(path, &in_settings, &variables);
    for text in [json.clone(), format!("[[keys]]\n{}", key("file", TWO))] {
        std::fs::write(&file, &text).unwrap();
        assert_eq!(load(&sources).unwrap().len(), 2, "{text}");
    }
    for (text, why) in [
        ("", "keys"),
        ("keys = []", "has no key"),
        ("[[keys]]\nname = \"a\"\n", "line 1"),
        ("[1]", "invalid"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = load(&sources).unwrap_err();
        assert!(
            error.contains("auth.keys_file") && error.contains(why),
            "{text}: {error}"
        );
        assert!(error.contains(file.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_folder_has_a_key_in_each_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let keys = path.join("keys");
    // As Kubernetes mounts a secret: links to a hidden folder.
    let version = keys.join("..2026_11_30");
    std::fs::create_dir_all(&version).unwrap();
    let toml = format!("[auth]\nkeys_folder = {:?}\n", keys.to_str().unwrap());
    let sources = sources(path, &toml, &[]);
    let error = load(&sources).unwrap_err();
    assert!(
        error.contains("auth.keys_folder") && error.contains("no file"),
        "{error}"
    );
    for (name, text) in [
        (
            "alice",
            format!("tenant = \"t\"\nowner = \"alice\"\nsha256 = \"{ONE}\"\n"),
        ),
        (
            "b.json",
            format!("{{\"tenant\": \"t\", \"owner\": \"b\", \"sha256\": \"{TWO}\"}}"),
        ),
    ] {
        std::fs::write(version.join(name), text).unwrap();
        std::os::unix::fs::symlink(version.join(name), keys.join(name)).unwrap();
    }
    assert_eq!(load(&sources).unwrap(), ["alice", "b"]);
    std::fs::write(keys.join("zed"), key("zed", ONE)).unwrap();
    let error = load(&sources).unwrap_err();
    assert!(error.contains("alice") && error.contains("zed"), "{error}");
    std::fs::write(keys.join("zed"), "tenant = 1\n").unwrap();
    let error = load(&sources).unwrap_err();
    assert!(error.contains("zed: line 1"), "{error}");
}

#[test]
fn a_digest_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let both = |one: &str, two: &str| {
        format!(
            "[[auth.keys]]\n{}[[auth.keys]]\n{}",
            key("web", one),
            key("app", two)
        )
    };
    for (toml, words) in [
        (both(ONE, ONE), ["web", "app"]),
        (both(ONE, &ONE.to_uppercase()), ["web", "app"]),
        (both(ONE, &ONE[1..]), ["app", "64"]),
        (both(ONE, &ONE.replace('2', "g")), ["app", "64"]),
    ] {
        let error = load(&sources(folder.path(), &toml, &[])).unwrap_err();
        assert!(error.contains("auth.keys.sha256"), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
