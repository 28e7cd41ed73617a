//! Scenes about what operators lay over a policy: break-glass and containment.

use gatepass_policy::decision::Reason;
use serde_json::Value;

use super::{Played, is_page};
use crate::cli::demo::scene::Scene;
use crate::cli::demo::world::World;
use crate::state::entry::{Destinations, Who};
use crate::state::{Code, GrantRequest, ModeRequest, Refused};

/// An operator of the tour, as the admin listener would have established it.
fn operator(name: &str) -> Who {
    Who { name: name.to_owned(), person: format!("{name}@corp.example"), method: "certificate".to_owned() }
}

fn words(refused: &Refused) -> String {
    match refused {
        Refused::Invalid(faults) => faults.iter().map(|(field, detail)| format!("{field}: {detail}")).collect(),
        Refused::Forbidden(text) | Refused::NotFound(text) | Refused::Conflict(text) | Refused::Unavailable(text) => {
            text.clone()
        }
        Refused::TooMany(_) => "too often".to_owned(),
    }
}

fn status(grant: &Value) -> &str {
    grant.get("status").and_then(Value::as_str).unwrap_or_default()
}

pub(super) async fn break_glass(world: &World, scene: &mut Scene) -> Played {
    let (before, _) = world.visit(scene, "ci", "backups.test").await?;
    world.judge(scene, before.id, Reason::Guardrail).await?;
    let state = &world.gateway.shared().state;
    let to = world.at("backups.test");
    let port = world.secure.address.port();
    scene.asked(format!(
        "gatepass grant request --identity token:ci --to {to} --for 30m --reason \"restore after the fire\""
    ));
    let request = GrantRequest {
        identities: vec!["token:ci".to_owned()],
        destinations: Destinations { hosts: vec!["backups.test".to_owned()], cidrs: Vec::new(), ports: vec![port] },
        data_classes: vec!["public".to_owned()],
        reason: "restore after the fire".to_owned(),
        ticket: None,
        length: "30m".to_owned(),
        drill: true,
        nonce: None,
    };
    let asked = state.request_grant(&operator("olga"), Code::None, request).await.map_err(|refused| words(&refused))?;
    scene.said(&format!("status  {}", status(&asked)));
    let id = asked.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    scene.asked("gatepass grant approve $ID                  # olga herself");
    let own = state.approve_grant(&operator("olga"), &id).await;
    scene.said(&own.as_ref().err().map(words).unwrap_or_default());
    scene.asked("gatepass grant approve $ID                  # max");
    let approved = state.approve_grant(&operator("max"), &id).await.map_err(|refused| words(&refused))?;
    scene.said(&format!("status  {}", status(&approved)));
    let (open, page) = world.visit(scene, "ci", "backups.test").await?;
    world.judge(scene, open.id, Reason::Grant).await?;
    scene.asked("gatepass grant revoke $ID");
    state.revoke_grant(&operator("max"), &id, None).await.map_err(|refused| words(&refused))?;
    let (after, _) = world.visit(scene, "ci", "backups.test").await?;
    scene.check("nobody approves their own", own.is_err());
    scene.check("open once a second person approved", is_page(page.as_ref(), "backups.test"));
    scene.check("shut before, and again when it is over", before.status == 403 && after.status == 403);
    Ok(())
}

pub(super) async fn lockdown(world: &World, scene: &mut Scene) -> Played {
    let state = &world.gateway.shared().state;
    let set = async |mode: &str, reason: &str| {
        let request = ModeRequest { mode: mode.to_owned(), reason: reason.to_owned(), length: None, rehearse: false };
        state.set_mode(&operator("olga"), request).await.map_err(|refused| words(&refused))
    };
    scene.asked("gatepass mode set lockdown --reason \"a key was stolen\"");
    set("lockdown", "a key was stolen").await?;
    let (shut, _) = world.visit(scene, "ci", "packages.test").await?;
    let judged = world.judge(scene, shut.id, Reason::Guardrail).await;
    scene.asked("gatepass mode set normal --reason \"it was replaced\"");
    set("normal", "it was replaced").await?;
    judged?;
    let (open, page) = world.visit(scene, "ci", "packages.test").await?;
    world.judge(scene, open.id, Reason::Allowed).await?;
    scene.check("what was allowed is refused: 403", shut.status == 403);
    scene.check("and allowed again afterwards", is_page(page.as_ref(), "packages.test"));
    Ok(())
}
