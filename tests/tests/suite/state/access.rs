//! Who may reach the store: certificates, users and roles.

use gatepass_certs::mint::Ca;
use gatepass_tests::gateway::hour;

use super::*;

/// What a store that is refused says, in how long.
async fn refused(store: &Store) -> String {
    let begun = Instant::now();
    let Unavailable(commit) = store.commit(once("grant", "x")).await.unwrap_err();
    let Unavailable(view) = store.view().await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    assert!(commit.contains("nothing was"), "{commit}");
    format!("{commit} {view}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_authority_is_not_spoken_to() {
    let cluster = Cluster::start();
    let scratch = Scratch::new();
    let ca = scratch.write("other.pem", Ca::root("another authority", hour()).unwrap().pem());
    let files = cluster.files();
    let tls = format!(
        "tls: {{ca: \"{}\", certificate: \"{}\", key: \"{}\"}}",
        ca.display(),
        files.certificate.display(),
        files.key.display()
    );
    let store = store(&cluster.endpoints(), &tls);
    let mut changes = store.watch();
    let why = refused(&store).await;
    assert!(why.contains("the TLS handshake failed") && why.contains("UnknownIssuer"), "{why}");
    assert!(matches!(next(&mut changes).await, Change::Lost { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_certificate_is_refused() {
    let cluster = Cluster::start();
    let store = store(&cluster.endpoints(), &format!("tls: {{ca: \"{}\"}}", cluster.files().ca.display()));
    let why = refused(&store).await;
    assert!(why.contains("received fatal alert"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_replaced_is_shown_at_the_next_connection() {
    let mut cluster = Cluster::start();
    let before = cluster.client("renewed");
    let store = store(&cluster.endpoints(), &before.section());
    assert!(store.view().await.is_ok());
    let whole = std::fs::read(&before.certificate).unwrap();
    std::fs::write(&before.certificate, "no certificate").unwrap();
    assert!(store.view().await.is_ok(), "the connection lives on");
    (0..3).for_each(|member| cluster.kill(member));
    cluster.restart_all();
    let Unavailable(why) = store.view().await.unwrap_err();
    assert!(why.contains("renewed.pem"), "{why}");
    std::fs::write(&before.certificate, whole).unwrap();
    assert!(store.view().await.is_ok());
}

/// Users by the common names of certificates, with roles: `gateway` reads `egress/`, and writes `egress/uses/` only.
fn with_roles(cluster: &Cluster) {
    for arguments in [
        &["role", "add", "root"][..],
        &["user", "add", "root", "--no-password"],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "gw"],
        &["role", "grant-permission", "gw", "read", "--prefix=true", "egress/"],
        &["role", "grant-permission", "gw", "readwrite", "--prefix=true", "egress/uses/"],
        &["user", "add", "gateway", "--no-password"],
        &["user", "grant-role", "gateway", "gw"],
    ] {
        // The role `root` may be there already.
        let done = cluster.etcdctl(arguments);
        assert!(done.status.success() || arguments[1] == "add", "{arguments:?}: {done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_name_is_a_user_whose_role_decides() {
    let cluster = Cluster::start();
    with_roles(&cluster);
    cluster.ctl(&["auth", "enable"]);
    let keys = format!("prefix: egress/, {}", cluster.tls_section());
    let store = store(&cluster.endpoints(), &keys);
    let mut changes = store.watch();
    assert!(matches!(next(&mut changes).await, Change::Whole(_)));
    assert!(matches!(store.commit(once("uses/1", "x")).await, Ok(Committed::Yes { .. })));
    assert!(matches!(next(&mut changes).await, Change::Some { puts, .. } if puts[0].key == "uses/1"));
    let begun = Instant::now();
    let Unavailable(why) = store.commit(once("mode", "normal")).await.unwrap_err();
    assert!(why.contains("nothing was written") && why.contains("permission denied"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(1), "no other member would say otherwise: {:?}", begun.elapsed());
    let stranger =
        super::store(&cluster.endpoints(), &format!("prefix: egress/, {}", cluster.client("stranger").section()));
    let why = refused(&stranger).await;
    assert!(why.contains("etcd says"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_password_gets_a_token_and_a_new_one_when_it_is_void() {
    let cluster = Cluster::start();
    with_roles(&cluster);
    cluster.ctl(&["user", "add", "writer:first"]);
    cluster.ctl(&["user", "grant-role", "writer", "root"]);
    cluster.ctl(&["auth", "enable"]);
    let scratch = Scratch::new();
    let password = scratch.write("password", "first\n");
    let nobody = cluster.client("nobody").section();
    let keys = format!("{nobody}, username: writer, password: {{file: \"{}\"}}", password.display());
    let store = store(&cluster.endpoints(), &keys);
    let mut changes = store.watch();
    assert!(matches!(next(&mut changes).await, Change::Whole(_)));
    assert!(matches!(store.commit(once("grant/1", "x")).await, Ok(Committed::Yes { .. })));
    // A token is void from then on.
    cluster.ctl(&["user", "delete", "writer"]);
    cluster.ctl(&["user", "add", "writer:second"]);
    cluster.ctl(&["user", "grant-role", "writer", "root"]);
    let Unavailable(why) = store.commit(once("grant/2", "x")).await.unwrap_err();
    assert!(why.contains("nothing was written") && why.contains("authentication failed"), "{why}");
    scratch.write("password", "second\n");
    assert!(matches!(store.commit(once("grant/2", "x")).await, Ok(Committed::Yes { .. })));
    let wrong = super::store(&cluster.endpoints(), &format!("{nobody}, username: writer, password: wrong"));
    let why = refused(&wrong).await;
    assert!(why.contains("authentication failed"), "{why}");
}
