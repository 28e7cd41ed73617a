//! Scenes about who asks.

use gatepass_policy::decision::Reason;

use super::{Played, is_page, told, until};
use crate::cli::demo::client::Client;
use crate::cli::demo::scene::Scene;
use crate::cli::demo::world::{CHECKOUT, World};

pub(super) async fn nobody(world: &World, scene: &mut Scene) -> Played {
    let authority = world.at("packages.test");
    scene.asked(format!("curl -x $PROXY https://{authority}/"));
    let answer = Client::plain(world.plain, None).await?.connect(&authority).await?;
    scene.got(&answer.line);
    world.judge(scene, answer.id, Reason::IdentityRequired).await?;
    scene.check("asked for credentials: 407", answer.status == 407);
    Ok(())
}

pub(super) async fn wrong_class(world: &World, scene: &mut Scene) -> Played {
    scene.note("the workload registry says that `reports` carries customer data, whatever the client claims");
    let (tunnel, _) = world.visit(scene, "reports", "packages.test").await?;
    world.judge(scene, tunnel.id, Reason::NoRule).await?;
    scene.check("refused: 403", tunnel.status == 403);
    let record = tunnel.id.and_then(|id| world.gateway.shared().evidence.recent().by_id(id));
    let clause = |record: &crate::evidence::DecisionRecord| {
        record.nearest.iter().flat_map(|near| &near.failed).any(|failed| failed.to_string().contains("data_classes"))
    };
    scene.check("the explanation names the data class", record.is_some_and(|record| clause(&record)));
    Ok(())
}

/// The command line, up to where a certificate would stand.
const MESH: &str = "curl -x $MESH --proxy-cacert $DIR/ca.pem";

pub(super) async fn certified(world: &World, scene: &mut Scene) -> Played {
    let authority = world.at("api.payments.test");
    scene.asked(format!(
        "{MESH} --proxy-cert $DIR/client.pem --proxy-key $DIR/client.key --cacert $DIR/origins.pem https://{authority}/"
    ));
    let client = Client::mesh(world.mesh, &world.certified).await?;
    let (tunnel, page) = world.walk(scene, client, "api.payments.test").await?;
    world.judge(scene, tunnel.id, Reason::Allowed).await?;
    scene.check("the page came from api.payments.test", is_page(page.as_ref(), "api.payments.test"));
    let recent = world.gateway.shared().evidence.recent();
    let who = tunnel.id.and_then(|id| recent.by_id(id)).and_then(|record| record.identity.clone());
    scene.check(format!("recorded as {CHECKOUT}"), who.is_some_and(|who| who.id.as_str() == CHECKOUT));
    Ok(())
}

pub(super) async fn uncertified(world: &World, scene: &mut Scene) -> Played {
    let authority = world.at("api.payments.test");
    scene.asked(format!("{MESH} https://{authority}/"));
    // In TLS 1.3 a client learns only with its first read that its certificate was wanted (RFC 8446 section 4.4.2).
    let refused = match Client::mesh(world.mesh, &world.bare).await {
        Ok(mut client) => client.connect(&authority).await.map(|answer| answer.line),
        Err(alert) => Err(alert),
    };
    let alert = match refused {
        Ok(line) => return Err(format!("it was answered: {line}")),
        Err(alert) => alert,
    };
    scene.got(format!("TLS: {alert}"));
    let recent = world.gateway.shared().evidence.recent();
    let on_mesh = |record: &crate::evidence::DecisionRecord| {
        record.identity.is_none() && record.listener.as_ref().is_some_and(|name| name.as_str() == "mesh")
    };
    let record = until(|| recent.newest(1, on_mesh).pop()).await;
    told(scene, &record, Reason::IdentityInvalid);
    scene.check("the handshake was refused before a request was read", alert.contains("CertificateRequired"));
    Ok(())
}
