//! Who asks: by certificate, by token, by network; and every way of not being anybody.

mod certificates;

mod corpus;

mod handshakes;

mod networks;

mod tokens;

use gatepass_tests::{Bundle, Gateway, Origin, Reply, Setup};

/// A gateway before one origin, `app.test`.
struct World {
    gateway: Gateway,
    origin: Origin,
}

impl World {
    /// These identities may go there.
    fn new(setup: Setup, identities: &str) -> World {
        World::with(setup, identities, Bundle::new())
    }

    fn with(setup: Setup, identities: &str, bundle: Bundle) -> World {
        let origin = Origin::echo();
        setup.resolver.answer("app.test", &["127.0.0.1"]);
        let gateway = setup.start(&bundle.allow_from("app", identities, "app.test", &[origin.port()]));
        World { gateway, origin }
    }

    fn target(&self) -> String {
        format!("app.test:{}", self.origin.port())
    }

    /// A refusal: its answer, its record, and nothing beyond the gateway.
    fn refused(&self, reply: &Reply, status: u16, code: &str) {
        assert_eq!(reply.status, status, "{}", reply.head);
        let decision = self.gateway.decision(&reply.id());
        assert_eq!(decision["effect"], "deny", "{decision}");
        assert_eq!(decision["reason"]["code"], code, "{decision}");
        assert_eq!(reply.field("proxy-authenticate").is_some(), status == 407, "{}", reply.head);
        assert!(!self.gateway.setup.resolver.was_asked("app.test"), "a refused client caused a DNS question");
        assert_eq!(self.origin.connections(), 0);
    }

    /// A tunnel, and who opened it.
    fn admitted(&self, reply: &Reply, identity: &str, method: &str) {
        assert_eq!(reply.status, 200, "{}\n{}", reply.head, reply.body);
        let decision = self.gateway.decision(&reply.id());
        assert_eq!(decision["identity"]["id"], identity, "{decision}");
        assert_eq!(decision["identity"]["method"], method, "{decision}");
        assert_eq!(decision["rule"]["path"], "team/app", "{decision}");
    }
}
