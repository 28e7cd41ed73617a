//! Smokescreen's egress ACL, version 1: roles, the globs they may reach, and two global lists.
//!
//! There, a role's own list wins over the global deny list, which wins over the global allow list, which wins over the
//! role's action. `*.x` is any depth below `x` and not `x`. The action `report` lets everything through and says so, `open`
//! lets everything through: neither can be said in a policy where every permission names its destinations.

use ipnet::IpNet;

use super::draft::{Body, Draft, Entry, Who, Workload};
use super::told::{Spot, Told, plain};
use super::{Imported, Options, Ports, cel, tree, write};
use crate::address;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::pattern::{HostPattern, IdentityPattern};
use crate::source::{Node, SourceFile};

/// The label by which roles that the ACL lists are told from those that it does not.
const LABEL: &str = "smokescreen_role";
const LISTED: (&str, &str) = (LABEL, "listed");
const UNLISTED: (&str, &str) = (LABEL, "unlisted");

const HAND: &str = "write the rule by hand";

/// Import an ACL.
///
/// # Errors
///
/// Where the file is not YAML, or not an ACL of version 1.
pub fn smokescreen(file: &SourceFile, options: &Options) -> Result<Imported, Vec<Diagnostic>> {
    tree::read(file, |root| {
        match tree::field(root, "version").and_then(tree::text) {
            Some("v1") => {}
            _ => {
                return Err(tree::refused(
                    file,
                    Some(root),
                    "this is not a Smokescreen ACL of `version: v1`",
                    "give the file that Smokescreen reads as `--egress-acl-file`",
                ));
            }
        }
        if tree::field(root, "services").is_none() {
            return Err(tree::refused(
                file,
                Some(root),
                "the list `services` is missing",
                "Smokescreen does not start without it either",
            ));
        }
        let mut import = Import { file, options, told: Vec::new(), draft: Draft::new("smokescreen") };
        import.acl(root);
        let files = write::files(&import.draft, options);
        Ok(Imported::of(files, import.draft.rules(), import.told))
    })?
}

struct Import<'a> {
    file: &'a SourceFile,
    options: &'a Options,
    told: Vec<Told>,
    draft: Draft,
}

/// A service, or the default.
struct Role {
    /// `None`: everybody whom no service is.
    name: Option<String>,
    who: Entry,
    project: Option<String>,
    own: Vec<HostPattern>,
    addresses: Vec<IpNet>,
    spot: Spot,
}

impl Import<'_> {
    fn acl(&mut self, root: &Node<'_>) {
        let known = ["version", "services", "default", "global_deny_list", "global_allow_list"];
        self.unknown_keys(root, &known);
        let (mut roles, all_told_apart) = self.services(root);
        let default = tree::field(root, "default");
        if let (Some(node), Some(all)) = (default, self.options.identity.all()) {
            if all_told_apart {
                for role in &roles {
                    self.draft.workloads.push(Workload { id: role.who.id.clone(), label: LISTED });
                }
                self.draft.workloads.push(Workload { id: all.clone(), label: UNLISTED });
                self.action(node, "the default rule");
                let role = self.role(node, None, Entry { id: all, label: Some(UNLISTED) });
                roles.push(role);
            } else {
                let why = "a service has no identity here, so those whom the ACL does not list cannot be told apart";
                self.tell(node, |spot| spot.dropped(why, HAND));
            }
        }
        self.guards(root, &roles);
        self.ports_chosen(root, &roles);
        for role in &roles {
            self.own_rules(role);
        }
        self.global_allows(root, &roles);
        if self.options.owner.is_none()
            && (self.draft.guardrails.iter().len() > 0 || self.draft.fragments.iter().any(|f| f.owner.is_none()))
        {
            self.tell(root, |spot| {
                spot.narrowed("somebody must answer for rules whose `project` is not given", "give `--owner`")
            });
        }
    }

    /// The services, and whether each of them has an identity of its own.
    fn services(&mut self, root: &Node<'_>) -> (Vec<Role>, bool) {
        let mut roles: Vec<Role> = Vec::new();
        let mut all = true;
        for node in tree::items(tree::field(root, "services")) {
            let name = tree::field(node, "name").and_then(tree::text).unwrap_or_default();
            let Some(id) = self.options.identity.of(name) else {
                let why = format!("`{}` cannot be a part of an identity", plain(name));
                self.tell(node, |spot| spot.dropped(why, "rename the role, with letters, digits, `-`, `_` and `.`"));
                all = false;
                continue;
            };
            if roles.iter().any(|role| role.name.as_deref() == Some(name)) {
                self.tell(node, |spot| {
                    spot.dropped("the role is listed twice, which Smokescreen refuses", "delete one of them")
                });
                continue;
            }
            let known = self.action(node, &format!("`{name}`"));
            let mut role = self.role(node, Some(name), Entry { id, label: None });
            if !known {
                // It stays listed, so that the default rule does not become its own.
                role.own.clear();
                role.addresses.clear();
            }
            roles.push(role);
        }
        (roles, all)
    }

    /// What the action says beyond the lists. `false`: it is none, and nothing of the role is carried over.
    fn action(&mut self, node: &Node<'_>, whose: &str) -> bool {
        let at = tree::field(node, "action").unwrap_or(node);
        match tree::field(node, "action").and_then(tree::text) {
            Some("enforce") => true,
            Some("report") => {
                let why =
                    format!("`report` lets {whose} reach every host, and only says so: here it reaches what it lists");
                let help = "roll out with `observe` in the gateway's configuration, then allow what the records show";
                self.tell(at, |spot| spot.dropped(why, help));
                true
            }
            Some("open") => {
                let why = format!("`open` lets {whose} reach every host: no permission here is without destinations");
                let help = "allow what it needs, by hand or from what the records show under `observe`";
                self.tell(at, |spot| spot.dropped(why, help));
                true
            }
            Some(_) | None => {
                self.tell(at, |spot| {
                    spot.dropped("the action is none of `open`, `report`, `enforce`", "write one of them")
                });
                false
            }
        }
    }

    fn role(&mut self, node: &Node<'_>, name: Option<&str>, who: Entry) -> Role {
        self.unknown_keys(
            node,
            &["name", "project", "action", "allowed_domains", "mitm_domains", "allowed_external_proxies"],
        );
        for item in tree::items(tree::field(node, "mitm_domains")) {
            let why =
                "decryption is not carried over: the host stays allowed, undecrypted, without added headers or logs";
            self.tell(item, |spot| {
                spot.dropped(why, "take the host out of `allowed_domains` if it must not go undecrypted")
            });
        }
        for item in tree::items(tree::field(node, "allowed_external_proxies")) {
            let why = "a client cannot name a further proxy here: `X-Upstream-Https-Proxy` is a header like any other";
            self.tell(item, |spot| {
                spot.dropped(why, "let the client speak to that proxy through a tunnel, if a rule allows it")
            });
        }
        let (mut own, mut addresses) = (Vec::new(), Vec::new());
        for item in tree::items(tree::field(node, "allowed_domains")) {
            match self.glob(item) {
                Some(Glob::Hosts(pattern)) => own.push(pattern),
                Some(Glob::Address(network)) => addresses.push(network),
                None => {}
            }
        }
        let project = tree::field(node, "project").and_then(tree::text).map(plain).filter(|text| !text.is_empty());
        Role { name: name.map(str::to_owned), who, project, own, addresses, spot: tree::spot(self.file, node) }
    }

    /// A domain glob; what Smokescreen refuses is dropped.
    fn glob(&mut self, node: &Node<'_>) -> Option<Glob> {
        let written = tree::text(node).unwrap_or_default();
        if let Ok(Host::Ip(ip)) = Host::parse(written.as_bytes()) {
            let network = IpNet::from(ip);
            if ip.is_ipv6() || !address::network_is_global(network) {
                let why = "Smokescreen itself refuses this address, unless its command line opens the range";
                self.tell(node, |spot| {
                    spot.dropped(why, "if the range is really needed, write a rule that names it in `cidrs`")
                });
                return None;
            }
            return Some(Glob::Address(network));
        }
        let pattern = match written.strip_prefix("*.") {
            Some(base) if !base.contains('*') => HostPattern::parse(&format!("**.{base}")),
            Some(_) => Err((String::new(), String::new())),
            None => HostPattern::parse(written),
        };
        match pattern {
            Ok(pattern) if !written.starts_with("**") => Some(Glob::Hosts(pattern)),
            Ok(_) | Err(_) => {
                let why = "this is not a glob that Smokescreen takes: a canonical name, or `*.` and one";
                self.tell(node, |spot| spot.dropped(why, "mend it and import again"));
                None
            }
        }
    }

    /// The global deny list: over everything but a role's own list.
    fn guards(&mut self, root: &Node<'_>, roles: &[Role]) {
        for item in tree::items(tree::field(root, "global_deny_list")) {
            let denied = match self.glob(item) {
                Some(Glob::Hosts(pattern)) => pattern,
                // An address that no rule lists is denied anyway, and one that a role lists is allowed.
                Some(Glob::Address(_)) | None => continue,
            };
            let spot = tree::spot(self.file, item);
            let mut when = cel::all(excused(&denied, roles).iter().map(|excuse| format!("!{excuse}")).collect());
            if when.as_ref().is_some_and(|when| !cel::fits(when)) {
                let why = "too many roles list this host themselves for one expression: it is denied to them as well";
                self.told.push(spot.narrowed(why, "divide the guardrail by hand, and excuse those roles"));
                when = None;
            }
            let purpose = format!("denied to every role by Smokescreen's global deny list ({spot})");
            let name = format!("deny-{}", denied.base());
            let body = Body { who: Who::Anyone, hosts: vec![denied], cidrs: Vec::new(), ports: Vec::new(), when };
            self.draft.guard(&name, purpose, &spot, body);
        }
    }

    fn ports_chosen(&mut self, root: &Node<'_>, roles: &[Role]) {
        let at = tree::field(root, "services").unwrap_or(root);
        if matches!(self.options.ports, Ports::Usual) && !roles.is_empty() {
            let why = "the ACL allows every port: the rules take 80 and 443";
            self.tell(at, |spot| spot.narrowed(why, "say which with `--port`, for example `--port 443 --port 8443`"));
        }
    }

    fn own_rules(&mut self, role: &Role) {
        let owner = role.project.as_deref().or(self.options.owner.as_deref());
        let (name, whom) = match &role.name {
            Some(name) => (name.as_str(), format!("role `{name}`")),
            None => ("default", "roles that it does not list".to_owned()),
        };
        let purpose = format!("what Smokescreen allowed to {whom} ({})", role.spot);
        let ports = self.options.ports.list().to_vec();
        let Some(fragment) = self.draft.fragment(role.project.as_deref().unwrap_or("unowned"), owner) else { return };
        let who = || Who::Among(vec![role.who.clone()]);
        if !role.own.is_empty() {
            let body =
                Body { who: who(), hosts: role.own.clone(), cidrs: Vec::new(), ports: ports.clone(), when: None };
            fragment.allow(name, purpose.clone(), &role.spot, body);
        }
        if !role.addresses.is_empty() {
            let body = Body { who: who(), hosts: Vec::new(), cidrs: role.addresses.clone(), ports, when: None };
            fragment.allow(&format!("{name}-addresses"), purpose, &role.spot, body);
        }
    }

    /// The global allow list: for every role that has a rule, its action aside.
    fn global_allows(&mut self, root: &Node<'_>, roles: &[Role]) {
        let Some(list) = tree::field(root, "global_allow_list") else { return };
        let (mut hosts, mut cidrs) = (Vec::new(), Vec::new());
        for item in tree::items(Some(list)) {
            match self.glob(item) {
                Some(Glob::Hosts(pattern)) => hosts.push(pattern),
                Some(Glob::Address(network)) => cidrs.push(network),
                None => {}
            }
        }
        // Denied addresses are no guardrails: they are left out here.
        for item in tree::items(tree::field(root, "global_deny_list")) {
            if let Ok(Host::Ip(ip)) = Host::parse(tree::text(item).unwrap_or_default().as_bytes()) {
                cidrs.retain(|network| *network != IpNet::from(ip));
            }
        }
        let everybody: Vec<Entry> = roles.iter().map(|role| role.who.clone()).collect();
        if everybody.is_empty() {
            return;
        }
        let spot = tree::spot(self.file, list);
        let purpose = format!("allowed to every role by Smokescreen's global allow list ({spot})");
        let (owner, ports) = (self.options.owner.clone(), self.options.ports.list().to_vec());
        let Some(fragment) = self.draft.fragment("global", owner.as_deref()) else { return };
        if !hosts.is_empty() {
            let body =
                Body { who: Who::Among(everybody.clone()), hosts, cidrs: Vec::new(), ports: ports.clone(), when: None };
            fragment.allow("global-allow", purpose.clone(), &spot, body);
        }
        if !cidrs.is_empty() {
            let body = Body { who: Who::Among(everybody), hosts: Vec::new(), cidrs, ports, when: None };
            fragment.allow("global-allow-addresses", purpose, &spot, body);
        }
    }

    fn unknown_keys(&mut self, node: &Node<'_>, known: &[&str]) {
        for (key, value) in tree::fields(node) {
            if !known.contains(&&*key.text) {
                let why = format!("`{}` is not a key of this ACL, and Smokescreen overlooks it", plain(&key.text));
                self.tell(value, |spot| spot.dropped(why, "look what was meant by it"));
            }
        }
    }

    fn tell(&mut self, node: &Node<'_>, say: impl FnOnce(&Spot) -> Told) {
        self.told.push(say(&tree::spot(self.file, node)));
    }
}

enum Glob {
    Hosts(HostPattern),
    Address(IpNet),
}

/// Who may reach what is denied here all the same, because the role's own list names it: one condition each, and those
/// whose list has the very pattern in one.
fn excused(denied: &HostPattern, roles: &[Role]) -> Vec<String> {
    let mut whole: Vec<IdentityPattern> = Vec::new();
    let mut conditions = Vec::new();
    for role in roles {
        let meeting: Vec<HostPattern> =
            role.own.iter().filter(|own| own.contains(denied) || denied.contains(own)).cloned().collect();
        if meeting.is_empty() {
            continue;
        }
        let all = meeting.iter().any(|own| own.contains(denied));
        let hosts = cel::atom(&super::formula::Atom::Hosts(meeting));
        match (role.who.label, all) {
            (None, true) => whole.push(role.who.id.clone()),
            (None, false) => {
                conditions.push(format!("({} && ({hosts}))", cel::who(std::slice::from_ref(&role.who.id))));
            }
            (Some((key, value)), _) => {
                let labelled = format!("has(identity.labels.{key}) && identity.labels.{key} == \"{value}\"");
                conditions.push(format!("({labelled} && ({hosts}))"));
            }
        }
    }
    if !whole.is_empty() {
        conditions.insert(0, format!("({})", cel::who(&whole)));
    }
    conditions
}
