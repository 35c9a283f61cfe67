//! Who may do what: access control lists, identities, and the schemes that match the two. Pure; how an identity is
//! proved is `crate::auth`'s business.
//!
//! The rules are ZooKeeper 3.9's: no list is ever empty, whoever has the identity `super` may do everything, and `auth`
//! in a list that is set stands for the identities of whoever sets it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use crate::error::CoordError;

/// What a line of a list can permit; the bits are ZooKeeper's.
pub mod perms {
    /// To read the data and the children's names.
    pub const READ: i32 = 1;
    /// To set the data.
    pub const WRITE: i32 = 2;
    /// To create children.
    pub const CREATE: i32 = 4;
    /// To delete children.
    pub const DELETE: i32 = 8;
    /// To set the list itself.
    pub const ADMIN: i32 = 16;
    /// All of these.
    pub const ALL: i32 = 31;
}

use perms::ALL;

/// Somebody, as a scheme knows them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// `world`, `digest`, `ip`, `x509` or `super`.
    pub scheme: String,
    /// In the scheme's own terms.
    pub id: String,
}

impl Id {
    /// From its parts.
    pub fn new(scheme: impl Into<String>, id: impl Into<String>) -> Id {
        Id {
            scheme: scheme.into(),
            id: id.into(),
        }
    }
}

/// One line of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// A union of [`perms`].
    pub perms: i32,
    /// To whom: the scheme.
    pub scheme: String,
    /// To whom: in the scheme's terms.
    pub id: String,
}

impl Acl {
    /// From its parts.
    pub fn new(perms: i32, scheme: impl Into<String>, id: impl Into<String>) -> Acl {
        Acl {
            perms,
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// Bytes, with those of its numbers.
    pub(crate) fn size(&self) -> usize {
        self.scheme.len() + self.id.len() + 16
    }

    fn is_world(&self) -> bool {
        self.scheme == "world" && self.id == "anyone"
    }
}

static OPEN: LazyLock<[Acl; 1]> = LazyLock::new(|| [Acl::new(ALL, "world", "anyone")]);

/// A znode's list. Nearly all znodes have the open one, which costs nothing; the others share theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AclList(Option<Arc<Vec<Acl>>>);

impl AclList {
    /// Everything for everybody.
    pub(crate) const OPEN: AclList = AclList(None);

    /// The list of these lines.
    pub(crate) fn of(lines: Vec<Acl>) -> AclList {
        if lines == *OPEN {
            AclList::OPEN
        } else {
            AclList(Some(Arc::new(lines)))
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn lines(&self) -> &[Acl] {
        self.0.as_ref().map_or(&*OPEN, |lines| lines)
    }

    /// Bytes of its lines; the open one has none.
    pub(crate) fn size(&self) -> usize {
        self.0
            .iter()
            .flat_map(|lines| lines.iter())
            .map(Acl::size)
            .sum()
    }

    /// Whether it grants one of `perms` to the caller.
    pub(crate) fn permits(&self, perms: i32, caller: &Caller, rules: Rules) -> bool {
        let Caller::Client(ids) = caller else {
            return true;
        };
        if self.0.is_none() || rules.skip_acl || self.lines().is_empty() {
            return true;
        }
        if ids.iter().any(|id| id.scheme == "super") {
            return true;
        }
        let granted = |line: &Acl| {
            line.perms & perms != 0
                && (line.is_world() || ids.iter().any(|id| matches(line, id, rules)))
        };
        self.lines().iter().any(granted)
    }

    /// The same, as an answer.
    pub(crate) fn check(
        &self,
        perms: i32,
        caller: &Caller,
        rules: Rules,
        path: &str,
    ) -> Result<(), CoordError> {
        if self.permits(perms, caller, rules) {
            Ok(())
        } else {
            Err(CoordError::NoAuth {
                path: path.to_owned(),
            })
        }
    }
}

/// Who asks for something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Caller {
    /// This process itself: it may do everything.
    #[default]
    Service,
    /// A client on the wire, with the identities that it has proved.
    Client(Arc<Vec<Id>>),
}

/// What an operator can switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// No list is looked at.
    pub(crate) skip_acl: bool,
    /// The scheme `digest` is not known.
    pub(crate) no_digest: bool,
    /// The scheme `x509` is known.
    pub(crate) x509: bool,
    /// Hard limits of quotas are kept.
    pub(crate) enforce_quota: bool,
    /// Clients may create znodes with a TTL.
    pub(crate) extended_types: bool,
}

/// The lists in use, each once. Those that no znode holds any more are dropped when the table has doubled.
#[derive(Clone, Debug, Default)]
pub(crate) struct AclTable {
    lists: BTreeSet<AclList>,
    purge_at: usize,
}

/// What happens to be kept is no part of the tree's state.
impl PartialEq for AclTable {
    fn eq(&self, _: &AclTable) -> bool {
        true
    }
}

impl Eq for AclTable {}

/// The table is not looked through while it is smaller.
const TABLE_MIN: usize = 64;

impl AclTable {
    /// The one copy of this list that all znodes share.
    pub(crate) fn intern(&mut self, list: &AclList) -> AclList {
        if list.0.is_none() {
            return AclList::OPEN;
        }
        if let Some(shared) = self.lists.get(list) {
            return shared.clone();
        }
        if self.lists.len() >= self.purge_at.max(TABLE_MIN) {
            let in_use = |list: &AclList| list.0.as_ref().is_some_and(|l| Arc::strong_count(l) > 1);
            self.lists.retain(in_use);
            self.purge_at = self.lists.len() * 2;
        }
        self.lists.insert(list.clone());
        list.clone()
    }
}

/// The most lines that a list may be asked for with.
const LINES_MAX: usize = 1_024;
/// The most bytes of a list. One line `auth` becomes as many lines as its client has identities.
const BYTES_MAX: usize = 64 << 10;

/// The list that a client has asked for, checked and with `auth` replaced by who the client is.
pub(crate) fn settle(
    path: &str,
    asked: &[Acl],
    caller: &Caller,
    rules: Rules,
) -> Result<AclList, CoordError> {
    let invalid = || CoordError::InvalidAcl {
        path: path.to_owned(),
    };
    if asked.len() > LINES_MAX {
        return Err(invalid());
    }
    let mut lines: Vec<Acl> = Vec::with_capacity(asked.len());
    let mut bytes = 0;
    let mut seen = BTreeSet::new();
    for line in asked {
        if !seen.insert(line) {
            continue;
        }
        let before = lines.len();
        if line.scheme == "auth" {
            let Caller::Client(ids) = caller else {
                return Err(invalid());
            };
            let proved = ids.iter().filter(|id| is_proved(&id.scheme, rules));
            lines.extend(proved.map(|id| Acl::new(line.perms, &id.scheme, &id.id)));
            if lines.len() == before {
                return Err(invalid());
            }
        } else if line.is_world() || is_valid(&line.scheme, &line.id, rules) {
            lines.push(line.clone());
        } else {
            return Err(invalid());
        }
        bytes += lines[before..].iter().map(Acl::size).sum::<usize>();
        if bytes > BYTES_MAX {
            return Err(invalid());
        }
    }
    if lines.is_empty() {
        return Err(invalid());
    }
    Ok(AclList::of(lines))
}

/// What others than its administrators may see of a list: no digests of passwords.
pub(crate) fn veiled(lines: &[Acl]) -> Vec<Acl> {
    let veil = |line: &Acl| match (line.scheme.as_str(), line.id.split_once(':')) {
        ("digest", Some((user, _))) => Acl::new(line.perms, "digest", format!("{user}:x")),
        _ => line.clone(),
    };
    lines.iter().map(veil).collect()
}

/// Whether an identity of this scheme says who somebody is, and not only where they are.
fn is_proved(scheme: &str, rules: Rules) -> bool {
    match scheme {
        "digest" => !rules.no_digest,
        "x509" => rules.x509,
        _ => false,
    }
}

fn is_valid(scheme: &str, id: &str, rules: Rules) -> bool {
    match scheme {
        // Two parts, where those that are empty at the end do not count.
        "digest" => !rules.no_digest && id.trim_end_matches(':').matches(':').count() == 1,
        "ip" => network(id).is_some(),
        "x509" => rules.x509 && id.contains('='),
        _ => false,
    }
}

fn matches(line: &Acl, id: &Id, rules: Rules) -> bool {
    line.scheme == id.scheme
        && match line.scheme.as_str() {
            "digest" => !rules.no_digest && line.id == id.id,
            "x509" => rules.x509 && line.id == id.id,
            "ip" => is_within(&line.id, &id.id),
            _ => false,
        }
}

/// An address and how many of its bits count.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= all)?,
        None => all,
    };
    Some((address, bits))
}

fn is_within(net: &str, address: &str) -> bool {
    let (Some((net, bits)), Ok(address)) = (network(net), address.parse()) else {
        return false;
    };
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let differ = net.to_bits() ^ address.to_bits();
            differ.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let differ = net.to_bits() ^ address.to_bits();
            differ.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "acl_tests.rs"]
mod tests;
