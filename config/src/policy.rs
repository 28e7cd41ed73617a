//! `policy`: where the bundle is, and when it is read again.

use std::path::PathBuf;

use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, optional};

/// Where the policy comes from.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The bundle.
    pub bundle: Bundle,
    /// When it is read again.
    pub reload: Reload,
}

/// Where a bundle is.
#[derive(Clone, Debug)]
pub enum Bundle {
    /// A directory of YAML files, which existed when the configuration was loaded.
    Directory(Located<PathBuf>),
    /// The sample that the binary carries: quickstart only, no file can ask for it.
    Embedded,
}

/// When the bundle is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// When a file changes, and on SIGHUP.
    Watch,
    /// On SIGHUP only.
    Signal,
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Policy> {
    let [bundle, reload, verify_keys, max_age] =
        reading.fields(node, ["bundle", "reload", "verify_keys", "max_age"])?;
    reading.unsupported(verify_keys);
    reading.unsupported(max_age);
    let bundle = reading.required(node, bundle, "bundle").and_then(|node| self::bundle(node, reading));
    let reload = optional(reload, reading, |node, reading| {
        reading.choice(node, &[("watch", Reload::Watch), ("signal", Reload::Signal)])
    });
    Some(Policy { bundle: bundle?, reload: reload?.unwrap_or(Reload::Watch) })
}

fn bundle(node: &Node, reading: &mut Reading<'_>) -> Option<Bundle> {
    if reading.text(node)?.contains("://") {
        reading.unsupported_value(&node.place, "a bundle from a URL");
        return None;
    }
    let file = "it is a file: archives are not supported yet, name a directory";
    reading.directory(node, file).map(Bundle::Directory)
}
