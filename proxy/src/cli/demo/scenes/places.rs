//! Scenes about where somebody wants to go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gatepass_policy::decision::Reason;
use gatepass_policy::schema::Stage;

use super::{Played, is_page, until};
use crate::cli::demo::client::Client;
use crate::cli::demo::origin::Seen;
use crate::cli::demo::scene::Scene;
use crate::cli::demo::world::World;

pub(super) async fn allowed(world: &World, scene: &mut Scene) -> Played {
    let (tunnel, page) = world.visit(scene, "ci", "packages.test").await?;
    world.judge(scene, tunnel.id, Reason::Allowed).await?;
    scene.check("the page came from packages.test, encrypted all the way", is_page(page.as_ref(), "packages.test"));
    Ok(())
}

pub(super) async fn unknown(world: &World, scene: &mut Scene) -> Played {
    let (tunnel, _) = world.visit(scene, "ci", "paste.evil.test").await?;
    world.judge(scene, tunnel.id, Reason::NoRule).await?;
    scene.check("refused: 403", tunnel.status == 403);
    let asked = world.names.questions("paste.evil.test");
    let others = world.names.questions("packages.test");
    scene.note(format!("questions the name server got: packages.test {others}, paste.evil.test {asked}"));
    scene.check("no DNS question left the gateway", asked == 0 && others > 0);
    Ok(())
}

pub(super) async fn private(world: &World, scene: &mut Scene) -> Played {
    let (tunnel, _) = world.visit(scene, "ci", "updates.test").await?;
    world.judge(scene, tunnel.id, Reason::AddressFloor).await?;
    scene.check("refused: 403", tunnel.status == 403);
    scene.check("the name server was asked, and its answer not believed", world.names.questions("updates.test") > 0);
    Ok(())
}

pub(super) async fn fronting(world: &World, scene: &mut Scene) -> Played {
    let before = world.secure.connections().len();
    let authority = world.at("packages.test");
    scene.asked(format!(
        "openssl s_client -proxy {} -proxy_user ci -proxy_pass pass:ci-$SECRET -connect {authority} -servername hidden.test",
        world.plain
    ));
    let mut client = world.door("ci").await?;
    let tunnel = client.connect(&authority).await?;
    scene.got(&tunnel.line);
    let alert = match client.secure("hidden.test", &world.trusting).await {
        Ok(_) => return Err("TLS was spoken with hidden.test".to_owned()),
        Err(alert) => alert,
    };
    scene.got(format!("TLS: {alert}"));
    world.judge(scene, tunnel.id, Reason::Guardrail).await?;
    scene.check("the client got a TLS alert: unrecognized_name", alert.contains("UnrecognisedName"));
    // The gateway had connected, and hangs up without having said a word.
    let seen = over(world, before, 1).await;
    let bytes: u64 = seen.iter().map(|seen| seen.bytes.load(Ordering::SeqCst)).sum();
    scene.check(format!("bytes that reached packages.test: {bytes}"), bytes == 0);
    Ok(())
}

pub(super) async fn certificate(world: &World, scene: &mut Scene) -> Played {
    let (proved, page) = world.visit(scene, "ci", "keys.test").await?;
    world.judge(scene, proved.id, Reason::Allowed).await?;
    let before = world.secure.connections().len();
    let authority = world.at("signing.test");
    scene.asked(format!("curl -x $PROXY -U ci:ci-$SECRET --insecure https://{authority}/"));
    let mut client = world.door("ci").await?;
    let tunnel = client.connect(&authority).await?;
    scene.got(&tunnel.line);
    let alert = match client.secure("signing.test", &world.trusting).await {
        Ok(_) => return Err("TLS was spoken with signing.test".to_owned()),
        Err(alert) => alert,
    };
    scene.got(format!("TLS: {alert}"));
    world.judge(scene, tunnel.id, Reason::Guardrail).await?;
    let record = tunnel.id.and_then(|id| world.gateway.shared().evidence.recent().by_id(id));
    let record = record.ok_or("the record is gone")?;
    let fault = record.upstream.as_ref().and_then(|upstream| upstream.fault.as_ref());
    let fault = fault.map_or("nothing", |fault| fault.as_str());
    scene.note(format!("what the gateway's own look at the server found: {fault}"));
    scene.check("keys.test proved who it is, and the page came from it", is_page(page.as_ref(), "keys.test"));
    scene.check("signing.test did not: denied at the stage `certificate`", record.stage == Stage::Certificate);
    scene.check("the record says what was wrong", fault == "the certificate is not for this host");
    scene.check("the client got a TLS alert: access_denied", alert.contains("AccessDenied"));
    // One connection was the client's tunnel, and one the gateway's own look.
    let seen = over(world, before, 2).await;
    let silent = seen.iter().filter(|seen| seen.bytes.load(Ordering::SeqCst) == 0).count();
    scene.check("not a byte of the client's reached the server", (seen.len(), silent) == (2, 1));
    Ok(())
}

/// The connections to the origin inside TLS since it had `before`, when they are so many, and over.
async fn over(world: &World, before: usize, wanted: usize) -> Vec<Arc<Seen>> {
    until(|| {
        let after: Vec<_> = world.secure.connections().into_iter().skip(before).collect();
        let over = after.len() >= wanted && after.iter().all(|seen| seen.ended.load(Ordering::SeqCst));
        over.then_some(after)
    })
    .await
}

pub(super) async fn plain(world: &World, scene: &mut Scene) -> Played {
    let authority = format!("status.test:{}", world.clear.address.port());
    let target = format!("http://{authority}/");
    let mut client: Client = world.door("ci").await?;
    scene.asked(format!("curl -x $PROXY -U ci:ci-$SECRET {target}"));
    let page = client.request("GET", &target, &authority).await?;
    scene.got(format!("{}   {}", page.line, page.body.trim_end()));
    scene.asked(format!("curl -x $PROXY -U ci:ci-$SECRET -X POST {target}"));
    let refused = client.request("POST", &target, &authority).await?;
    scene.got(&refused.line);
    world.judge(scene, refused.id, Reason::NoRule).await?;
    scene.check("GET came back with the page", is_page(Some(&page), "status.test"));
    scene.check("POST was refused on the same connection: 403", refused.status == 403);
    Ok(())
}

/// What the rule `build/reports` lets go in a day.
const BUDGET: u64 = 4096;

pub(super) async fn limit(world: &World, scene: &mut Scene) -> Played {
    let authority = format!("reports.test:{}", world.clear.address.port());
    let target = format!("http://{authority}/");
    let report = "x".repeat(3 << 10);
    let sent = || world.clear.connections().iter().map(|seen| seen.bytes.load(Ordering::SeqCst)).sum::<u64>();
    let before = sent();
    let upload = async |scene: &mut Scene| {
        scene.asked(format!("curl -x $PROXY -U ci:ci-$SECRET --data-binary @3KiB.txt {target}"));
        world.door("ci").await?.post(&target, &authority, &report).await
    };
    let first = upload(scene).await?;
    scene.got(format!("{}   {}", first.line, first.body.trim_end()));
    let second = upload(scene).await;
    scene.got(second.as_ref().map_or("the connection is cut", |answer| &*answer.line));
    let third = upload(scene).await?;
    scene.got(&third.line);
    world.judge(scene, third.id, Reason::Limit).await?;
    scene.check("the first report arrived", is_page(Some(&first), "reports.test"));
    scene.check("the second was cut where the budget ended", second.is_err());
    let arrived = sent().saturating_sub(before);
    scene.check(format!("bytes that reached reports.test: {arrived}, of {BUDGET} allowed"), arrived <= BUDGET);
    scene.check("the third was refused: 429", third.status == 429);
    let named = ["build/reports", "limits.upload_bytes_per_day"].iter().all(|part| third.body.contains(part));
    scene.check("the answer names the rule and the limit", named);
    Ok(())
}
