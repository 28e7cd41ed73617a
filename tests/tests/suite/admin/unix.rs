//! The admin listener as a socket in the file system: its owner's alone, and nothing else in its place.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use gatepass_tests::gateway::binary;
use gatepass_tests::identities::token;
use gatepass_tests::{Bundle, Gateway, Setup};

fn setup(path: &Path) -> Setup {
    let setup = Setup::new();
    std::fs::create_dir_all(setup.scratch.path().join("run")).unwrap();
    mode(&setup.scratch.path().join("run"), 0o700);
    setup.section(&format!(
        "admin: {{bind: \"unix:{}\", operators: [{}]}}",
        path.display(),
        token("ops", "0perator", 1)
    ))
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn socket(gateway: &Gateway) -> PathBuf {
    gateway.path().join("run/admin.sock")
}

fn ask(path: &Path, target: &str, fields: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn o043_a_socket_is_its_owner_s_alone_and_answers_as_the_address_does() {
    let gateway = setup(Path::new("run/admin.sock")).start(&Bundle::new());
    let path = socket(&gateway);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(ask(&path, "/health", "Host: localhost\r\n").starts_with("HTTP/1.1 200"));
    for host in ["Host: attacker.test\r\n", "Host: 127.0.0.1\r\n", ""] {
        assert!(ask(&path, "/health", host).starts_with("HTTP/1.1 421"), "{host}");
    }
    assert!(ask(&path, "/v1/whoami", "Host: localhost\r\n").starts_with("HTTP/1.1 401"), "the socket is no credential");
    let origin = "Host: localhost\r\nOrigin: https://attacker.test\r\n";
    assert!(ask(&path, "/health", origin).starts_with("HTTP/1.1 403"));
    let url = format!("unix:{}", path.display());
    let mut command = Command::new(binary());
    let output = command.args(["operators", "whoami", "--admin", &url, "--token", "0perator"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read_dir(path.parent().unwrap()).unwrap().count() == 1, "nothing is left beside it");
}

#[test]
fn o043_a_stale_socket_is_replaced() {
    let setup = setup(Path::new("run/admin.sock"));
    let path = setup.scratch.path().join("run/admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    let mut gateway = setup.start(&Bundle::new());
    assert!(ask(&path, "/health", "Host: localhost\r\n").starts_with("HTTP/1.1 200"));
    gateway.signal("KILL");
    gateway.wait();
    let again = gateway.start_again();
    assert!(ask(&path, "/health", "Host: localhost\r\n").starts_with("HTTP/1.1 200"));
    drop(again);
}

/// Why a gateway does not start, once `prepare` has arranged its directory.
fn refused(prepare: impl FnOnce(&Path)) -> String {
    let setup = setup(Path::new("run/admin.sock"));
    setup.bundle(&Bundle::new());
    prepare(&setup.scratch.path().join("run"));
    let config = setup.configure();
    let output = Command::new(binary()).args(["serve", "--config"]).arg(config).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot listen on `unix:") && !errors.contains("listening on"), "{errors}");
    errors
}

#[test]
fn o043_what_somebody_else_could_have_put_there_keeps_the_gateway_from_starting() {
    let link = refused(|run| symlink(run.join("elsewhere.sock"), run.join("admin.sock")).unwrap());
    assert!(link.contains("a symbolic link stands there"), "{link}");
    let file = refused(|run| std::fs::write(run.join("admin.sock"), "kept").unwrap());
    assert!(file.contains("something that is no socket stands there"), "{file}");
    for open in [0o777, 0o1777, 0o770] {
        let directory = refused(|run| mode(run, open));
        assert!(directory.contains("others may write to"), "{open:o}: {directory}");
    }
    // Only root can give a directory away; for others there is nothing to see here.
    let probe = gatepass_tests::Scratch::new();
    if chown(probe.path(), Some(12_345), None).is_ok() {
        let owned = refused(|run| chown(run, Some(12_345), None).unwrap());
        assert!(owned.contains("belongs to another user"), "{owned}");
    }
    let linked = refused(|run| {
        let real = run.with_file_name("real");
        std::fs::create_dir(&real).unwrap();
        std::fs::remove_dir(run).unwrap();
        symlink(real, run).unwrap();
    });
    assert!(linked.contains("is not a directory, or is a link to one"), "{linked}");
    let missing = refused(|run| std::fs::remove_dir(run).unwrap());
    assert!(missing.contains("No such file"), "{missing}");
}

#[test]
fn o043_another_process_s_socket_is_left_alone() {
    let mut kept = None;
    let served =
        refused(|run| kept = Some((UnixListener::bind(run.join("admin.sock")).unwrap(), run.join("admin.sock"))));
    assert!(served.contains("another process serves the socket"), "{served}");
    let gateway = setup(Path::new("run/admin.sock")).start(&Bundle::new());
    assert!(std::fs::symlink_metadata(socket(&gateway)).unwrap().file_type().is_socket());
    let output =
        Command::new(binary()).args(["serve", "--config"]).arg(gateway.path().join("gatepass.yaml")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a second gateway on the same files");
    assert!(ask(&socket(&gateway), "/health", "Host: localhost\r\n").starts_with("HTTP/1.1 200"));
}
