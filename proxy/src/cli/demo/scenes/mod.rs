//! The scenes, in the order in which they are played: none changes what a later one relies on.

mod people;

mod overrides;

mod places;

mod times;

use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::decision::Reason;
use uuid::Uuid;

use super::client::{Answer, Client};
use super::scene::Scene;
use super::world::World;
use crate::evidence::DecisionRecord;
use crate::evidence::words::Outcome;
use crate::explanation::explain;

/// What keeps a scene from being played to its end.
type Played = Result<(), String>;

/// A scene takes milliseconds; one that takes this long did not end as told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Play every scene, and show each when it is over.
pub async fn play(world: &World, mut show: impl FnMut(usize, &Scene)) -> Vec<Scene> {
    let mut tour = Tour { world, show: &mut show, scenes: Vec::new() };
    tour.scene("allowed", "A rule names the host, so the tunnel opens", places::allowed).await;
    tour.scene(
        "unknown-name",
        "No rule names the host: refused before anyone is asked for its address",
        places::unknown,
    )
    .await;
    tour.scene("private-address", "The name is allowed, but DNS points it at the cloud's credentials", places::private)
        .await;
    tour.scene("sni-mismatch", "Ask for one name, speak to another: domain fronting", places::fronting).await;
    tour.scene(
        "certificate",
        "The name is right and the server is not: its certificate is somebody else's",
        places::certificate,
    )
    .await;
    tour.scene("plain-http", "Plain HTTP is decided request by request: GET is allowed, POST is not", places::plain)
        .await;
    tour.scene("limit", "4 KiB a day may be sent there: what is more is cut, and then refused", places::limit).await;
    tour.scene("no-credentials", "Nobody in particular asks", people::nobody).await;
    tour.scene("data-class", "The host is allowed, but not for what this workload carries", people::wrong_class).await;
    tour.scene("client-certificate", "A workload proves itself with its SPIFFE certificate", people::certified).await;
    tour.scene("no-certificate", "The same door without a certificate", people::uncertified).await;
    tour.scene("reload", "A rule is added while the gateway runs", times::reload).await;
    tour.scene("broken-reload", "Then somebody breaks the bundle", times::broken).await;
    tour.scene("break-glass", "An emergency: one person asks, another one opens, and it ends", overrides::break_glass)
        .await;
    tour.scene("containment", "Something is wrong, nobody knows what: lock everything down", overrides::lockdown).await;
    tour.scene(
        "tunnel-cut",
        "A day later the trial is over: every allow has an end, and so has its tunnel",
        times::cut,
    )
    .await;
    tour.scene("expired-rule", "Whoever comes afterwards is refused", times::expired).await;
    tour.scene("why", "And whoever was refused can ask why", times::why).await;
    tour.scenes
}

struct Tour<'a, F> {
    world: &'a World,
    show: &'a mut F,
    scenes: Vec<Scene>,
}

impl<F: FnMut(usize, &Scene)> Tour<'_, F> {
    async fn scene(
        &mut self,
        name: &'static str,
        title: &'static str,
        act: impl AsyncFnOnce(&World, &mut Scene) -> Played,
    ) {
        let mut scene = Scene::new(name, title);
        match tokio::time::timeout(PATIENCE, act(self.world, &mut scene)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => scene.check(format!("it can be played ({why})"), false),
            Err(_) => scene.check(format!("it is over within {} s", PATIENCE.as_secs()), false),
        }
        (self.show)(self.scenes.len() + 1, &scene);
        self.scenes.push(scene);
    }
}

impl World {
    /// `HOST:PORT` of a name, at the origin inside TLS.
    fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.secure.address.port())
    }

    /// The plain listener, as this user.
    async fn door(&self, user: &str) -> Result<Client, String> {
        Client::plain(self.plain, Some(format!("{user}:{user}-{}", self.secret))).await
    }

    /// `https://HOST/` through the plain listener, as this user: the tunnel's answer, and the origin's if it opened.
    async fn visit(&self, scene: &mut Scene, user: &str, host: &str) -> Result<(Answer, Option<Answer>), String> {
        let authority = self.at(host);
        scene.asked(format!("curl -x $PROXY -U {user}:{user}-$SECRET --cacert $DIR/origins.pem https://{authority}/"));
        let client = self.door(user).await?;
        self.walk(scene, client, host).await
    }

    /// Ask for the tunnel, and in it for `/`. The origin's certificate is checked end to end.
    async fn walk(
        &self,
        scene: &mut Scene,
        mut client: Client,
        host: &str,
    ) -> Result<(Answer, Option<Answer>), String> {
        let tunnel = client.connect(&self.at(host)).await?;
        scene.got(&tunnel.line);
        if tunnel.status != 200 {
            return Ok((tunnel, None));
        }
        let page = client.secure(host, &self.trusting).await?.request("GET", "/", host).await?;
        scene.got(format!("{}   {}", page.line, page.body.trim_end()));
        Ok((tunnel, Some(page)))
    }

    /// The record of a decision, shown as the gateway explains it, and compared with what is told.
    async fn judge(&self, scene: &mut Scene, id: Option<Uuid>, reason: Reason) -> Played {
        let id = id.ok_or("the answer names no decision")?;
        let recent = self.gateway.shared().evidence.recent();
        let record = until(|| recent.by_id(id)).await;
        told(scene, &record, reason);
        Ok(())
    }
}

fn told(scene: &mut Scene, record: &Arc<DecisionRecord>, reason: Reason) {
    scene.said(&explain(record));
    let admitted = matches!(reason, Reason::Allowed | Reason::Grant);
    let outcome = if admitted { Outcome::Admitted } else { Outcome::Refused };
    scene.check(
        format!("recorded: {}, {}", outcome.as_str(), reason.code()),
        record.reason.code == reason && record.outcome == outcome,
    );
}

/// The page that the origin of this name gives.
fn is_page(page: Option<&Answer>, host: &str) -> bool {
    page.is_some_and(|page| page.status == 200 && page.body == format!("hello from {host}\n"))
}

/// Wait until there is something; the scene's own time is the bound.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
