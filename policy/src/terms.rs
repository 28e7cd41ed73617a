//! On which terms operators may lay overrides over a policy: modes, scopes, ceilings, second factors, approvers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::decision::Factors;
use crate::document::bundle::{Bundle, Scope};
use crate::index::Map;
use crate::overrides::ModeRule;

/// The longest lives of overrides, as the bundle says; the gateway's configuration has its own ceilings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// Of a grant.
    pub grant: Option<SignedDuration>,
    /// Of an exception.
    pub exception: SignedDuration,
}

/// The longest lives of allows.
#[derive(Debug)]
pub(crate) struct Lives {
    default: SignedDuration,
    wildcard: Option<SignedDuration>,
    by_class: BTreeMap<String, SignedDuration>,
}

impl Lives {
    pub(crate) fn longest<'n>(&self, classes: impl Iterator<Item = &'n str>, deep: bool) -> SignedDuration {
        let named = classes.filter_map(|class| self.by_class.get(class).copied());
        named.chain(self.wildcard.filter(|_| deep)).fold(self.default, std::cmp::min)
    }
}

#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) owner: Box<str>,
    pub(crate) modes: Map<Box<str>, Arc<ModeRule>>,
    pub(crate) scopes: Map<Box<str>, Scope>,
    pub(crate) ceilings: Ceilings,
    pub(crate) lives: Lives,
    pub(crate) second_factor: Factors,
    pub(crate) by_class: Map<Box<str>, Factors>,
    pub(crate) grant_approvers: Option<Vec<Box<str>>>,
    pub(crate) exception_approvers: Option<Vec<Box<str>>>,
    pub(crate) fragment_approvers: Map<Box<str>, Vec<Box<str>>>,
}

impl Terms {
    pub(crate) fn of(bundle: Bundle, owner: &str) -> Terms {
        let names = |list: Vec<crate::diagnostic::At<String>>| -> Vec<Box<str>> {
            list.into_iter().map(|at| at.value.into()).collect()
        };
        let Bundle { lifetimes, modes, terms, fragments, .. } = bundle;
        let mut scopes = Map::default();
        let mut fragment_approvers = Map::default();
        for fragment in fragments {
            if let Some(approvers) = fragment.approvers {
                fragment_approvers.insert(fragment.id.value.as_str().into(), names(approvers));
            }
            scopes.insert(fragment.id.value.into(), fragment.scope);
        }
        let modes = modes.into_iter().map(|mode| {
            let rule = Arc::new(ModeRule::new(&mode.name.value, owner, Some(mode.allow_when)));
            (Box::from(mode.name.value), rule)
        });
        Terms {
            owner: owner.into(),
            modes: modes.collect(),
            scopes,
            lives: Lives { default: lifetimes.default, wildcard: lifetimes.wildcard, by_class: lifetimes.data_classes },
            ceilings: Ceilings { grant: lifetimes.grant, exception: lifetimes.exception.unwrap_or(lifetimes.default) },
            second_factor: terms.second_factor,
            by_class: terms.by_class.into_iter().map(|(class, factors)| (class.into(), factors)).collect(),
            grant_approvers: terms.grant_approvers.map(names),
            exception_approvers: terms.exception_approvers.map(names),
            fragment_approvers,
        }
    }
}
