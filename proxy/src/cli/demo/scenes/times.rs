//! Scenes about what changes with time: the bundle, the clock, and what people ask afterwards.

use gatepass_policy::decision::Reason;
use jiff::SignedDuration;

use super::{Played, is_page, until};
use crate::cli::demo::scene::Scene;
use crate::cli::demo::world::{MIRROR, World};
use crate::evidence::words::PolicyResult;
use crate::policy_store::Reload;
use crate::reload as telling;

/// What a running gateway does when the bundle changes.
async fn read_again(world: &World) -> Reload {
    let shared = world.gateway.shared();
    let outcome = shared.policy.reload(shared.clock.now()).await;
    match &outcome {
        Reload::Activated(snapshot) => telling::tell(shared, PolicyResult::Activated, None, snapshot),
        Reload::Refused(problems) => {
            telling::tell(shared, PolicyResult::Rejected, Some(problems), &shared.policy.current());
        }
        Reload::Unchanged | Reload::StillRefused => {}
    }
    outcome
}

pub(super) async fn reload(world: &World, scene: &mut Scene) -> Played {
    let (before, _) = world.visit(scene, "ci", "mirror.test").await?;
    scene.asked("cat >> $DIR/policy/teams/build.yaml");
    world.rendered(MIRROR).lines().for_each(|line| scene.note(line));
    world.rewrite(MIRROR).map_err(|error| error.to_string())?;
    let outcome = read_again(world).await;
    let Reload::Activated(snapshot) = outcome else { return Err("the new bundle was not taken".to_owned()) };
    scene.said(&format!("policy: {} rules of `{}` are in force", snapshot.set.rules(), snapshot.set.bundle()));
    let (after, page) = world.visit(scene, "ci", "mirror.test").await?;
    world.judge(scene, after.id, Reason::Allowed).await?;
    scene.check("refused before: 403", before.status == 403);
    scene.check("allowed after, with nothing restarted", is_page(page.as_ref(), "mirror.test"));
    Ok(())
}

pub(super) async fn broken(world: &World, scene: &mut Scene) -> Played {
    let slip = MIRROR.replace("hosts: [\"mirror.test\"]", "hosts: [\"mirror.*\"]");
    world.rewrite(&slip).map_err(|error| error.to_string())?;
    scene.asked("sed -i 's/\"mirror.test\"/\"mirror.*\"/' $DIR/policy/teams/build.yaml");
    let outcome = read_again(world).await;
    let Reload::Refused(problems) = outcome else { return Err("the broken bundle was taken".to_owned()) };
    scene.said(problems.trim_end());
    let (still, page) = world.visit(scene, "ci", "mirror.test").await?;
    let mended = world.rewrite(MIRROR).map_err(|error| error.to_string());
    world.judge(scene, still.id, Reason::Allowed).await?;
    scene.check("the fault is shown in its place", problems.contains("teams/build.yaml:"));
    scene.check("the last good policy stays in force", is_page(page.as_ref(), "mirror.test"));
    scene.check("mended, the bundle is current again", !matches!(read_again(world).await, Reload::Refused(_)));
    mended
}

pub(super) async fn cut(world: &World, scene: &mut Scene) -> Played {
    let authority = world.at("vendor.test");
    scene.asked(format!("openssl s_client -proxy ${{PROXY#http://}} -connect {authority} -servername vendor.test"));
    let mut client = world.door("ci").await?;
    let tunnel = client.connect(&authority).await?;
    scene.got(&tunnel.line);
    let mut client = client.secure("vendor.test", &world.trusting).await?;
    let page = client.request("GET", "/", "vendor.test").await?;
    scene.check("open, and carrying", is_page(Some(&page), "vendor.test"));
    world.pass(SignedDuration::from_hours(25));
    scene.note(format!("25 hours pass: it is {:.0}", world.gateway.shared().clock.now()));
    let metrics = &world.gateway.shared().metrics;
    let counted = |line: &&str| line.starts_with("gatepass_tunnels_cut_total") && line.contains("\"expired\"");
    let count = until(|| {
        let text = metrics.render();
        text.lines().find(counted).filter(|line| !line.ends_with(" 0")).map(str::to_owned)
    });
    scene.said(&count.await);
    scene.check("cut when its rule ended", client.request("GET", "/", "vendor.test").await.is_err());
    Ok(())
}

pub(super) async fn expired(world: &World, scene: &mut Scene) -> Played {
    let (tomorrow, _) = world.visit(scene, "ci", "vendor.test").await?;
    world.judge(scene, tomorrow.id, Reason::RuleExpired).await?;
    scene.check("refused: 403", tomorrow.status == 403);
    Ok(())
}

pub(super) async fn why(world: &World, scene: &mut Scene) -> Played {
    scene.asked("gatepass why paste.evil.test --proxy http://ci:ci-$SECRET@${PROXY#http://}");
    let host = crate::reserved::HOST;
    let mut client = world.door("ci").await?;
    let answer = client.request("GET", &format!("http://{host}/?host=paste.evil.test"), host).await?;
    scene.said(&answer.body);
    scene.check("the gateway remembers", answer.status == 200 && answer.body.contains("no_rule"));
    let mut other = world.door("reports").await?;
    let other = other.request("GET", &format!("http://{host}/?host=paste.evil.test"), host).await?;
    scene.check("and tells nobody else", other.status == 404);
    Ok(())
}
