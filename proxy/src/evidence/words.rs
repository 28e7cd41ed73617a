//! The closed vocabularies of a record that are not the policy's own.

use serde::{Serialize, Serializer};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident $word:literal $what:literal;)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $what] $variant,)* }

        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The spelling in records and metric labels.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }
    )* };
}

words! {
    /// What happened, whatever the policy said.
    Outcome {
        Admitted "admitted" "It was carried.";
        Refused "refused" "It was refused.";
        Failed "failed" "It was permitted, but the name could not be resolved or the destination not be reached.";
    }
    /// What people do.
    ActKind {
        Grant "grant" "Break-glass.";
        Exception "exception" "An exception on its way, or at its end.";
        Mode "mode" "The containment mode.";
        Admin "admin" "A call of the admin listener.";
    }
    /// Marks records of a gateway whose address floor is not the one for production.
    FloorMark {
        Development "development" "Rules may open loopback and interface addresses.";
    }
    /// Which data classes decided.
    ClassesFrom {
        Registered "registered" "Those of the workload registry.";
        Declared "declared" "Those the client narrowed them to.";
    }
    /// What became of a policy.
    PolicyResult {
        Activated "activated" "It decides from now on.";
        Rejected "rejected" "It was not valid; the former one goes on deciding.";
    }
    /// What a candidate bundle would have said.
    CandidateEffect {
        Allow "allow" "It would have allowed it.";
        Deny "deny" "It would have denied it.";
        Pending "pending" "It would have gone on, and hangs on what was not asked for.";
    }
    /// Why records are missing.
    GapCause {
        Dropped "dropped" "They were dropped to make room for newer ones, as the configuration asks.";
        Torn "torn" "The gateway died while it wrote them; nobody was told that they stood.";
    }
    /// Where records go from the spool.
    SinkName {
        Otlp "otlp" "An OpenTelemetry collector.";
        Syslog "syslog" "A syslog receiver.";
        Ocsf "ocsf" "A file of OCSF events.";
    }
    /// How a connection ended.
    Ending {
        ClientClosed "client_closed" "The client closed first.";
        UpstreamClosed "upstream_closed" "The destination closed first.";
        Idle "idle" "No byte flowed for too long.";
        Expired "expired" "The rule or exception that allowed it, or the client's credential, ended.";
        PolicyChanged "policy_changed" "The policy or the client's credential changed and no longer allows it, or an operator cut it.";
        GrantEnded "grant_ended" "The break-glass grant that allowed it ended.";
        ModeChanged "mode_changed" "The containment mode does not allow it.";
        MaxDuration "max_duration" "It reached the longest duration.";
        Drained "drained" "The gateway shut down.";
        Limit "limit" "It reached another limit.";
        Error "error" "A socket failed, or the gateway did.";
    }
}
