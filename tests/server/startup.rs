//! The program: it starts, or says in one line why not.

use std::path::Path;

use crate::support::process::{Output, Process, program, run};

/// Starts the program where it cannot start: one line on stderr, and exit code 1.
async fn refusal(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let Output {
        code,
        stdout,
        stderr,
    } = run(program(folder, arguments, settings)).await;
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    let mut lines = stderr.lines();
    let line = lines.next().unwrap_or_default();
    assert_eq!(lines.next(), None, "more than one line: {stderr}");
    line.strip_prefix("talkgraph: ")
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned()
}

fn contains(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "{word}: {line}");
    }
}

#[tokio::test]
async fn a_port_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = refusal(folder.path(), &[], &[("http.port", &port)]).await;
    contains(
        &line,
        &["cannot listen on 127.0.0.1", &port, "in use", "http.port"],
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    // Below a file there can be no folder, not even for an administrator.
    std::fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/data/talk.db");
    let url = format!("sqlite://{}", path.display());
    let line = refusal(folder.path(), &[], &[("store.url", &url)]).await;
    contains(&line, &["database", &url, "file/data"]);
    // A folder in the place of the file.
    let url = format!("sqlite://{}", folder.path().display());
    let line = refusal(folder.path(), &["migrate"], &[("store.url", &url)]).await;
    contains(&line, &["database", &url]);
}

#[tokio::test]
async fn a_file_that_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("talkgraph.db"), "x".repeat(8192)).unwrap();
    let line = refusal(folder.path(), &["migrate"], &[]).await;
    contains(&line, &["talkgraph.db", "not a database"]);
}

#[tokio::test]
async fn a_broken_agent_file() {
    let folder = tempfile::tempdir().unwrap();
    let agents = folder.path().join("agents");
    let setting = agents.display().to_string();
    let settings = [("agents.folder", setting.as_str())];
    let line = refusal(folder.path(), &[], &settings).await;
    contains(&line, &["agents folder", &setting]);
    std::fs::create_dir(&agents).unwrap();
    contains(
        &refusal(folder.path(), &[], &settings).await,
        &["no *.toml file"],
    );

    let good = "name = \"helper\"\ndescription = \"Helps.\"\ninstructions = \"Help.\"\n";
    for (text, words) in [
        ("name = ", ["helper.toml", "1"]),
        (&good.replace("helper", "other"), ["helper.toml", "name"]),
        (
            &good.replace("Help.", "{{ nobody }}"),
            ["helper.toml", "instructions"],
        ),
        (&format!("{good}toolz = 1\n"), ["helper.toml", "toolz"]),
        (
            &format!("{good}model = \"acme/x\"\n"),
            ["helper.toml", "acme/x"],
        ),
    ] {
        std::fs::write(agents.join("helper.toml"), text).unwrap();
        let line = refusal(folder.path(), &[], &settings).await;
        contains(&line, &words);
    }
    std::fs::write(agents.join("helper.toml"), good).unwrap();
    let line = refusal(folder.path(), &[], &settings).await;
    contains(&line, &["agents.default"]);
}

#[tokio::test]
async fn a_wrong_setting() {
    let folder = tempfile::tempdir().unwrap();
    for (key, value) in [
        ("http.prot", "1"),
        ("http.port", "abc"),
        ("runs.active", "0"),
        ("models.openai.context_tokens", "10"),
        ("telemetry.log", "=,="),
        ("store.url", "mysql://host/db"),
        ("http.cors_origins", "example.com"),
    ] {
        let line = refusal(folder.path(), &[], &[(key, value)]).await;
        contains(&line, &[key.split('.').next_back().unwrap()]);
    }
    let missing = refusal(folder.path(), &["--config", "nowhere.toml"], &[]).await;
    contains(&missing, &["nowhere.toml"]);
    std::fs::write(
        folder.path().join("talkgraph.toml"),
        "[http]\nport = 0\nprot = 1\n",
    )
    .unwrap();
    contains(&refusal(folder.path(), &["config"], &[]).await, &["prot"]);
    std::fs::write(folder.path().join("talkgraph.toml"), "[http]\nport = \n").unwrap();
    let line = refusal(folder.path(), &["config"], &[]).await;
    contains(&line, &["talkgraph.toml", "line 2"]);
    std::fs::write(folder.path().join(".env"), "no variable\n").unwrap();
    std::fs::remove_file(folder.path().join("talkgraph.toml")).unwrap();
    contains(&refusal(folder.path(), &["config"], &[]).await, &[".env"]);
}

#[tokio::test]
async fn a_database_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://me:db-secret@127.0.0.1:9/talk";
    for arguments in [&[][..], &["migrate"]] {
        let line = refusal(folder.path(), arguments, &[("store.url", url)]).await;
        contains(&line, &["database", "127.0.0.1:9/talk", "refused"]);
        assert!(!line.contains("db-secret"), "{line}");
    }
}

#[tokio::test]
async fn no_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path(), &[], &[]);
    command.env_remove("TALKGRAPH_MODELS__OPENAI__BASE_URL");
    command.env("TALKGRAPH_MODELS__EMBEDDED__PATH", "nowhere.gguf");
    let refused = run(command).await;
    assert_eq!(refused.code, 1);
    let mut lines = refused.stderr.lines();
    let line = lines.next().unwrap();
    // With the embedded model compiled in, its file is what is missing.
    let words: &[_] = match cfg!(feature = "embedded-model") {
        true => &["nowhere.gguf", "scripts/fetch-model"],
        false => &["no model", "OPENAI_API_KEY", "scripts/run"],
    };
    contains(line, words);
    assert_eq!(lines.next(), None, "{}", refused.stderr);

    let settings = [("models.default", "acme/large")];
    let line = refusal(folder.path(), &[], &settings).await;
    contains(&line, &["acme/large", "models.default"]);
}

#[tokio::test]
async fn the_other_commands() {
    let folder = tempfile::tempdir().unwrap();
    let say = async |arguments: &[&str]| run(program(folder.path(), arguments, &[])).await;
    let version = say(&["--version"]).await;
    let expected = format!("talkgraph {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.stdout), (0, expected));
    let checked = say(&["agents", "check"]).await;
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, "research: ok\nsupport: ok\n")
    );
    for _ in 0..2 {
        let migrated = say(&["migrate"]).await;
        assert_eq!(migrated.code, 0, "{}", migrated.stderr);
        assert_eq!(migrated.stdout, "the database is up to date\n");
    }
    assert!(folder.path().join("talkgraph.db").exists());
    let help = say(&["--help"]).await;
    assert_eq!(help.code, 0);
    contains(
        &help.stdout,
        &[
            "serve", "schema", "config", "migrate", "backup", "agents", "health",
        ],
    );
    assert_eq!(say(&["serf"]).await.code, 2);
}

#[tokio::test]
async fn health_asks_the_server_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(program(folder.path(), &[], &[])).await;
    let (_, port) = server.address.rsplit_once(':').unwrap();
    let health = async |port: &str| {
        run(program(folder.path(), &["health"], &[("http.port", port)]))
            .await
            .code
    };
    assert_eq!(health(port).await, 0);
    let port = port.to_owned();
    drop(server);
    assert_eq!(health(&port).await, 1);
}

#[tokio::test]
async fn the_log_is_json_when_nobody_watches() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(program(folder.path(), &[], &[])).await;
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
    let log = server.log();
    assert!(log.contains("serving"), "{log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}
