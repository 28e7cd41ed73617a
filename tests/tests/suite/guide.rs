//! docs/policy/guide.md, played from top to bottom against a gateway: each command says what the page says that it says.
//!
//! After a text has changed: `GATEPASS_REGENERATE=1 cargo nextest run -p gatepass-tests guide::`.

use std::path::{Path, PathBuf};
use std::process::Command;

use gatepass_tests::gateway::binary;
use gatepass_tests::programs::installed;
use gatepass_tests::{Bundle, Gateway, Setup, eventually};

/// What the page shows where each run has its own.
const PROXY: &str = "http://127.0.0.1:3128";
const ID: &str = "01a20ab6-8a6f-73b5-88c1-1cba9d6a5866";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A gateway over the example's bundle, in a repository `repo` beside its configuration.
fn world() -> Gateway {
    let identity = "identity: {networks: [{cidr: \"127.0.0.0/8\", id: \"network:laptop\"}]}";
    let setup = Setup::new().section(identity).section("policy: {bundle: ./repo/policy, reload: watch}");
    let example = root().join("docs/example/policy");
    let mut open = vec![example.clone()];
    while let Some(directory) = open.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(&example).unwrap().to_str().unwrap().to_owned();
                setup.scratch.write(&format!("repo/policy/{name}"), std::fs::read(path).unwrap());
            }
        }
    }
    let gateway = setup.start(&Bundle::new());
    let begun = shell(&gateway, "git init -q -b main && git add . && git commit -q -m 'The example' 2>&1");
    assert_eq!(begun, "");
    gateway
}

/// What a line of shell in the repository says on a screen, with everything that differs between runs as on the page.
fn shell(gateway: &Gateway, line: &str) -> String {
    let here = binary().parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(here).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut command = Command::new(installed("sh"));
    command.args(["-c", &format!("{{ {line}\n}} 2>&1")]).current_dir(gateway.path().join("repo"));
    command.env_clear().env("PATH", path.unwrap()).env("HOME", gateway.path()).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "alice").env(format!("GIT_{who}_EMAIL"), "alice@corp.example");
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace(&gateway.url(), PROXY);
    let text: String = text.split_inclusive('\n').map(timeless).collect();
    let is_id = |word: &str| word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let word = |word: &str| if is_id(word.trim_end()) { word.replace(word.trim_end(), ID) } else { word.to_owned() };
    text.split_inclusive(' ').map(|part| part.split_inclusive('\n').map(word).collect::<String>()).collect()
}

/// A line that ends with how long something took, without that.
fn timeless(line: &str) -> String {
    let took = line.strip_suffix(" s\n").and_then(|line| line.rsplit_once(' '));
    match took {
        Some((rest, took)) if took.parse::<f64>().is_ok() => format!("{rest} 0.012 s\n"),
        Some(_) | None => line.to_owned(),
    }
}

/// A console block as its commands, each with what it says. A here-document belongs to its command.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut document = false;
    for line in block.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) if !document => {
                document = command.ends_with("<<'END'");
                found.push((command.to_owned(), String::new()));
            }
            (_, Some((command, _))) if document => {
                *command += &format!("\n{line}");
                document = line != "END";
            }
            (_, Some((_, said))) => *said += &format!("{line}\n"),
            (_, None) => panic!("a block that begins with no command: {block}"),
        }
    }
    found
}

#[test]
fn the_guide_leads_from_a_denied_connection_to_a_merged_rule() {
    let path = root().join("docs/policy/guide.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let gateway = world();
    for name in ["curl", "git", "sed"] {
        installed(name);
    }
    let mut parts = page.split("```console\n");
    let mut played = parts.next().unwrap().to_owned();
    let mut count = 0;
    for part in parts {
        let (block, rest) = part.split_once("```\n").unwrap();
        played += "```console\n";
        for (command, _) in commands(block) {
            count += 1;
            let said = shell(&gateway, &command.replace(PROXY, &gateway.url()));
            played += &format!("$ {command}\n{said}");
        }
        played += &format!("```\n{rest}");
    }
    if std::env::var_os("GATEPASS_REGENERATE").is_some() {
        std::fs::write(&path, &played).unwrap();
    }
    assert_eq!(played, std::fs::read_to_string(&path).unwrap(), "the page says something else than its commands do");
    assert!(count >= 12, "{count} commands");

    // The end of the story: the reloaded gateway lets the name be looked up, which it did not before.
    let asked = "packages.example.org";
    assert!(!gateway.setup.resolver.was_asked(asked));
    eventually("the merged rule is in force", || gateway.log().contains("8 rules of `example`").then_some(()));
    let connect = format!("curl -sS -o /dev/null -x {} https://{asked}/", gateway.url());
    let said = shell(&gateway, &connect);
    assert!(gateway.setup.resolver.was_asked(asked) && !said.contains("response 403"), "{said}");
}

#[test]
fn the_hook_refuses_what_is_staged_and_not_what_lies_about() {
    let gateway = world();
    let hook = root().join("docs/policy/pre-commit");
    let install = format!("cp {} .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit", hook.display());
    assert_eq!(shell(&gateway, &install), "");
    let commit = |what: &str| shell(&gateway, &format!("{what}; git commit -q -m change; echo exit $?"));
    let bad = "echo '  - {id: more, action: alow, purpose: more}' >> policy/teams/laptops.yaml";
    let said = commit(&format!("{bad}; git add ."));
    assert!(said.contains("error: `allow` or `deny` is wanted here\n") && said.ends_with("exit 1\n"), "{said}");
    assert!(said.contains("help: did you mean `allow`?"), "{said}");
    // Mended on the disk and not staged: it is still the mistake that would be committed.
    let said = commit("git show HEAD:policy/teams/laptops.yaml > policy/teams/laptops.yaml");
    assert!(said.ends_with("exit 1\n"), "{said}");
    // Staged as it was, and wrong on the disk: what would be committed is right.
    let said = commit(&format!("git add .; echo note > README; git add .; {bad}"));
    assert!(said.starts_with("ok 7 rules in 7 files, 0 warnings\n") && said.ends_with("exit 0\n"), "{said}");
    let said =
        shell(&gateway, "git checkout -q .; GATEPASS_BUNDLE=nowhere git commit -q --allow-empty -m x; echo exit $?");
    assert!(said.ends_with("exit 1\n"), "a bundle that is not there is not right: {said}");
}

#[test]
fn the_workflow_asks_for_what_the_program_has() {
    let text = std::fs::read_to_string(root().join("docs/policy/github-actions.yaml")).unwrap();
    let workflow: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let steps = workflow["jobs"]["check"]["steps"].as_array().unwrap();
    let runs: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let check = runs.iter().find(|run| run.starts_with("gatepass check ")).unwrap();
    let gateway = world();
    assert_eq!(shell(&gateway, &format!("{check}; echo exit $?")), "ok 7 rules in 7 files, 0 warnings\nexit 0\n");
    assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}));
    assert!(steps.iter().all(|step| step["uses"].is_null() || step["with"]["persist-credentials"] == false));
}
