//! One of ZooKeeper's snapshots, read into a tree.
//!
//! ```text
//! "ZKSN" · version (4) · db id (8) · sessions · access control lists by number · (path · znode)* · "/" · sum (8) · "/" · …
//! ```
//! The sum is over all before it. What follows it (ZooKeeper's own digest of the tree) says nothing that is needed.
//! A snapshot is fuzzy: it shows parts of transactions after its zxid, which the log brings again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::error::ImportError;
use super::jute::{Fault, Jute, bad};
use super::session;
use crate::Zxid;
use crate::tree::{Acl, AclList, NodeRecord, Tree, check_path};

const MAGIC: i32 = i32::from_be_bytes(*b"ZKSN");
const VERSION: i32 = 2;
/// The number of the list that is open for everybody.
const OPEN: i64 = -1;
/// A path, a znode's list and its numbers.
const ZNODE_BYTES_MIN: u64 = 4 + 4 + 8 + 60;

/// A tree from a snapshot.
pub(super) struct Loaded {
    pub(super) tree: Tree,
    /// The newest transaction of which it shows a part; the log must reach it.
    pub(super) shows: Zxid,
}

/// Reads the snapshot of this zxid. [`ImportError::Damaged`] is a reason to try an older one.
pub(super) fn load(path: &Path, zxid: Zxid) -> Result<Loaded, ImportError> {
    let on = ImportError::on(path);
    let file = File::open(path).map_err(&on)?;
    let len = file.metadata().map_err(&on)?.len();
    let mut jute = Jute::new(BufReader::with_capacity(1 << 18, file), len);
    match read(&mut jute, zxid) {
        Ok(loaded) => loaded,
        Err(Fault::Io(error)) => Err(on(error)),
        Err(Fault::Bad(reason)) => Err(ImportError::Damaged {
            path: path.to_owned(),
            position: jute.position(),
            reason,
        }),
    }
}

/// The outer result is about the file, the inner one about what is in it.
fn read(
    jute: &mut Jute<BufReader<File>>,
    zxid: Zxid,
) -> Result<Result<Loaded, ImportError>, Fault> {
    if jute.int()? != MAGIC {
        return bad("this is no snapshot of a ZooKeeper");
    }
    let version = jute.int()?;
    if version != VERSION {
        return bad(format!("its version is {version}, and {VERSION} is read"));
    }
    jute.long()?;
    let mut tree = Tree::bare();
    let mut sessions = Vec::new();
    for _ in 0..jute.count(12)? {
        sessions.push((jute.long()?, jute.int()?));
    }
    let mut lists = BTreeMap::new();
    for _ in 0..jute.count(12)? {
        lists.insert(jute.long()?, AclList::of(jute.acl()?));
    }
    let mut shows = zxid;
    let mut unfit = None;
    let mut seen_root = false;
    loop {
        let at = jute.position();
        let path = jute.string()?;
        if path == "/" {
            break;
        }
        if jute.left() < ZNODE_BYTES_MIN - 4 {
            return bad("the snapshot is cut off");
        }
        let path = if path.is_empty() {
            "/".to_owned()
        } else {
            path
        };
        if path != "/" && !seen_root {
            return bad(format!("znode {path:?} comes before the root"));
        }
        seen_root = true;
        if let Err(error) = check_path(&path) {
            unfit.get_or_insert(ImportError::Unfit {
                what: format!("znode {path:?}"),
                reason: error.to_string(),
            });
        }
        let record = znode(jute, path, &lists)?;
        shows = shows.max(record.czxid).max(record.mzxid).max(record.pzxid);
        if let Err(error) = tree.restore(record) {
            return bad(format!("at byte {at}: {error}"));
        }
    }
    let sum = jute.checksum();
    if jute.long()? != i64::from(sum) || jute.string()? != "/" {
        return bad("the checksum is wrong");
    }
    if !seen_root {
        return bad("it has no root");
    }
    // Only a sound file is judged by what is in it.
    if let Some(unfit) = unfit {
        return Ok(Err(unfit));
    }
    for (id, timeout_ms) in sessions {
        match session::record(id, timeout_ms) {
            Ok(record) => tree.restore_session(id, record),
            Err(error) => return Ok(Err(error)),
        }
    }
    tree.restored_to(zxid);
    Ok(Ok(Loaded { tree, shows }))
}

fn znode(
    jute: &mut Jute<BufReader<File>>,
    path: String,
    lists: &BTreeMap<i64, AclList>,
) -> Result<NodeRecord, Fault> {
    let data = jute.buffer()?.into();
    let acl = match jute.long()? {
        OPEN => AclList::OPEN,
        number => lists
            .get(&number)
            .cloned()
            .unwrap_or_else(|| unknown(number)),
    };
    let czxid = Zxid(jute.long()? as u64);
    let mzxid = Zxid(jute.long()? as u64);
    let ctime = jute.long()?;
    let mtime = jute.long()?;
    let version = jute.int()?;
    // What clients see as cversion counts deletions, too; this counts creations alone, as `created` does.
    let created = jute.int()?;
    let aversion = jute.int()?;
    let owner = jute.long()?;
    let pzxid = Zxid(jute.long()? as u64);
    Ok(NodeRecord {
        path,
        data,
        owner,
        czxid,
        mzxid,
        pzxid,
        ctime,
        mtime,
        version,
        created,
        aversion,
        acl,
    })
}

/// The scheme of a list that nobody can mean.
const UNKNOWN: &str = "\0unknown";

/// The lists are written before the znodes, so a znode of a fuzzy snapshot may have one that is newer. The log brings
/// it; until then this stands in its place, and permits nothing.
fn unknown(number: i64) -> AclList {
    AclList::of(vec![Acl::new(0, UNKNOWN, number.to_string())])
}

/// Whether no transaction has brought this znode's list.
pub(super) fn is_unknown(list: &AclList) -> bool {
    list.lines().iter().any(|line| line.scheme == UNKNOWN)
}

/// The sessions that have ephemeral znodes and are none, as a fuzzy snapshot may leave them.
pub(super) fn orphans(tree: &Tree) -> BTreeMap<i64, BTreeSet<Box<str>>> {
    use crate::tree::Kind;
    let mut orphans: BTreeMap<i64, BTreeSet<Box<str>>> = BTreeMap::new();
    tree.walk(None, &mut |node| {
        if let Kind::Ephemeral(id) = Kind::of_owner(node.owner)
            && tree.session(id).is_none()
        {
            orphans.entry(id).or_default().insert(node.path.into());
        }
        true
    });
    orphans
}
