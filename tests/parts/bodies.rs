//! What is sent to the vendors, against their own libraries' types and published descriptions.

use std::path::Path;
use std::process::Command;

use crate::agents::everything;
use crate::house::House;
use crate::part::{installed, node, python};
use crate::support::process::run;
use crate::support::server::repository;

/// Writes the bodies of all requests of a house, each once.
fn write(house: &House, protocol: &str, folder: &Path) {
    let mut bodies: Vec<_> = house.upstream.received();
    bodies.dedup_by(|one, other| one.body == other.body);
    for (index, received) in bodies.iter().enumerate() {
        let name = format!("{protocol}-{}-{index:03}.json", house.model);
        std::fs::write(folder.join(name), received.body.to_string()).unwrap();
    }
}

#[tokio::test]
async fn request_bodies_fit_the_vendors_types_and_descriptions() {
    let folder = tempfile::tempdir().unwrap();
    for (protocol, kind, model, forced) in [
        ("responses", "openai-responses", "gpt-6-luna", true),
        ("responses", "openai-responses", "gpt-6.1-sol", true),
        ("chat", "openai", "gpt-6-luna", true),
        ("anthropic", "anthropic", "claude-haiku-5-5", false),
        ("anthropic", "anthropic", "claude-opus-5-5", false),
        ("gemini", "gemini", "gemini-4-argon", true),
    ] {
        let house = everything(kind, model, forced).await;
        write(&house, protocol, folder.path());
    }
    node("typescript/package.json");
    let checks = [
        ("node".to_owned(), "tests/parts/check_types.mjs"),
        (python("python"), "tests/parts/check_descriptions.py"),
    ];
    for (program, script) in checks {
        let mut command = Command::new(program);
        command.arg(repository(script)).arg(folder.path());
        let checked = run(command).await;
        assert_eq!(
            checked.code, 0,
            "{script}: {}{}",
            checked.stdout, checked.stderr
        );
    }
    installed("tests/parts/package-lock.json");
}
