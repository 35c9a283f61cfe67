//! One znode: its data, its kind and its numbers. A million of them must fit in 400 MB, so a node holds no name,
//! no path and no parent, and an empty one costs nothing for its children.

use std::collections::BTreeMap;

use super::acl::AclList;
use super::limits::TTL_MS_MAX;
use crate::Zxid;

/// Children by name. Sorted, so that everything that walks the tree is deterministic.
pub(crate) type Children = BTreeMap<Box<str>, Box<Node>>;

/// What ends a znode's life besides a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Persistent,
    /// The end of this session. Session ids are never 0, nor do they start with the byte 0xff.
    Ephemeral(i64),
    /// Its last child's end; it is swept some time after.
    Container,
    /// This many milliseconds without a child and without a change of its data.
    Ttl(i64),
}

const CONTAINER_OWNER: i64 = i64::MIN;
const TTL_OWNER: i64 = (0xff_u64 << 56) as i64;

impl Kind {
    /// The kind as ZooKeeper keeps it in the owner field, so that eight bytes hold it.
    pub(crate) const fn to_owner(self) -> i64 {
        match self {
            Kind::Persistent => 0,
            Kind::Ephemeral(session) => session,
            Kind::Container => CONTAINER_OWNER,
            Kind::Ttl(ms) => TTL_OWNER | (ms & TTL_MS_MAX),
        }
    }

    pub(crate) const fn of_owner(owner: i64) -> Kind {
        match owner {
            0 => Kind::Persistent,
            CONTAINER_OWNER => Kind::Container,
            _ if owner & TTL_OWNER == TTL_OWNER => Kind::Ttl(owner & TTL_MS_MAX),
            _ => Kind::Ephemeral(owner),
        }
    }
}

/// A znode's numbers, as ZooKeeper's clients know them. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last set its data.
    pub mzxid: Zxid,
    /// When it was created.
    pub ctime: i64,
    /// When its data was last set.
    pub mtime: i64,
    /// How often its data was set.
    pub version: i32,
    /// How many children were created and deleted.
    pub cversion: i32,
    /// How often its ACL was set.
    pub aversion: i32,
    /// The session that an ephemeral znode lives with, 0 for every other.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Children at this moment.
    pub num_children: i32,
    /// The transaction that last created or deleted a child, or else created the znode.
    pub pzxid: Zxid,
}

/// A znode. Its name is the key under which its parent holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) data: Box<[u8]>,
    /// The kind in ZooKeeper's encoding, see [`Kind`].
    pub(crate) owner: i64,
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    pub(crate) pzxid: Zxid,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    /// Children ever created: the next sequence number. Deletions do not count here, but do in `Stat::cversion`.
    pub(crate) created: i32,
    /// How often its access control list was set.
    pub(crate) aversion: i32,
    pub(crate) acl: AclList,
    /// None while there are none: a map is a box away, so that leaves stay small.
    children: Option<Box<Children>>,
}

impl Node {
    pub(crate) fn new(data: &[u8], owner: i64, acl: AclList, zxid: Zxid, time: i64) -> Node {
        Node {
            data: data.into(),
            owner,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            version: 0,
            created: 0,
            aversion: 0,
            acl,
            children: None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::of_owner(self.owner)
    }

    pub(crate) fn children(&self) -> Option<&Children> {
        self.children.as_deref()
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        self.children.as_ref()?.get(name).map(AsRef::as_ref)
    }

    pub(crate) fn child_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.children.as_mut()?.get_mut(name).map(AsMut::as_mut)
    }

    pub(crate) fn child_count(&self) -> usize {
        self.children.as_ref().map_or(0, |c| c.len())
    }

    /// Puts a child under `name`; whatever was there is returned.
    pub(crate) fn put(&mut self, name: &str, child: Node) -> Option<Box<Node>> {
        self.children
            .get_or_insert_default()
            .insert(name.into(), Box::new(child))
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Box<Node>> {
        let children = self.children.as_mut()?;
        let taken = children.remove(name);
        if children.is_empty() {
            self.children = None;
        }
        taken
    }

    /// Hands the children of a node that is being replaced to its successor.
    pub(crate) fn adopt_children_of(&mut self, old: &mut Node) {
        self.children = old.children.take();
    }

    pub(crate) fn stat(&self) -> Stat {
        let num_children = self.child_count() as i32;
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            // Creations count twice less those still there: creations plus deletions, as ZooKeeper reckons it.
            cversion: self.created.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: match self.kind() {
                Kind::Ephemeral(session) => session,
                _ => 0,
            },
            data_length: self.data.len() as i32,
            num_children,
            pzxid: self.pzxid,
        }
    }
}
