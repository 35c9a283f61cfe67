//! What a client asks of this member alone: reads and watches. Answered at once from the tree as it is.

use super::clients::{SetWatches, WatcherType};
use super::queue::{Answer, Client, Token};
use super::{Connection, WireConfig};
use crate::auth;
use crate::error::CoordError;
use crate::perms::{ADMIN, READ};
use crate::service::shared::Served;
use crate::tree::{
    AclList, CHILDREN, Caller, DATA, PERSISTENT, RECURSIVE, check_path, limits, veiled,
};

/// A read, or a change of the connection's watches.
#[derive(Clone, Debug)]
#[allow(clippy::enum_variant_names)] // `MultiRead` is ZooKeeper's own name.
pub(crate) enum Read {
    /// A znode's numbers; the watch is set also where there is none.
    Exists {
        /// Which.
        path: String,
        /// Whether to watch it.
        watch: bool,
    },
    /// A znode's data and numbers.
    GetData {
        /// Which.
        path: String,
        /// Whether to watch it.
        watch: bool,
    },
    /// The names of its children, and its numbers.
    GetChildren {
        /// Whose.
        path: String,
        /// Whether to watch them.
        watch: bool,
    },
    /// Its access control list, without digests for those who may not set it.
    GetAcl {
        /// Whose.
        path: String,
    },
    /// The session's own ephemeral znodes.
    GetEphemerals {
        /// What their paths begin with; nothing and `/` are all.
        prefix: String,
    },
    /// How many znodes there are below one.
    GetAllChildrenNumber {
        /// Below which.
        path: String,
    },
    /// Several `GetData` and `GetChildren`, of one moment.
    MultiRead(Vec<Read>),
    /// Who the client is.
    WhoAmI,
    /// All the watches from before a reconnection.
    SetWatches(SetWatches),
    /// A watch that lasts.
    AddWatch {
        /// Of which znode.
        path: String,
        /// And all below it.
        recursive: bool,
    },
    /// Whether there is such a watch.
    CheckWatches {
        /// Of which znode.
        path: String,
        /// Of which sort.
        kind: WatcherType,
    },
    /// Takes such watches off.
    RemoveWatches {
        /// Of which znode.
        path: String,
        /// Of which sort.
        kind: WatcherType,
    },
}

impl Connection {
    /// Answers a read: the answer is in the outbox when this returns. No write of this connection may be under way.
    pub(crate) fn read(&self, token: Token, read: Read) {
        self.touch();
        let served = self.shared.served.read();
        let result = Reader {
            served: &served,
            client: &self.client,
            caller: Caller::Client(self.client.ids()),
            config: &self.shared.config,
        }
        .read(read);
        // Still under the lock: an event of what comes next must not get before this answer.
        let zxid = served.tree.applied();
        self.client.answer(token, zxid, result.map_err(Into::into));
    }

    /// Reads behind writes would see too much or too little.
    pub(crate) fn writes_under_way(&self) -> usize {
        self.client.writes_under_way()
    }
}

struct Reader<'a> {
    served: &'a Served,
    client: &'a Client,
    caller: Caller,
    config: &'a WireConfig,
}

impl Reader<'_> {
    fn read(&self, read: Read) -> Result<Answer, CoordError> {
        let tree = &self.served.tree;
        match read {
            Read::Exists { path, watch } => {
                let stat = tree.exists(&path);
                if stat.is_some() {
                    self.may(READ, &path)?;
                }
                if watch {
                    self.watch(&path, DATA)?;
                }
                stat.map(Answer::Stat).ok_or(CoordError::NoNode { path })
            }
            Read::GetData { path, watch } => {
                self.may(READ, &path)?;
                let (data, stat) = tree.get(&path)?;
                if watch {
                    self.watch(&path, DATA)?;
                }
                Ok(Answer::Data(data, stat))
            }
            Read::GetChildren { path, watch } => {
                self.may(READ, &path)?;
                let names = tree.children(&path)?;
                let stat = tree.exists(&path).unwrap_or_default();
                if watch {
                    self.watch(&path, CHILDREN)?;
                }
                Ok(Answer::Children(names, stat))
            }
            Read::GetAcl { path } => {
                let acl = self.may(READ | ADMIN, &path)?;
                let stat = tree.exists(&path).unwrap_or_default();
                let lines = if acl.permits(ADMIN, &self.caller, self.config.rules()) {
                    acl.lines().to_vec()
                } else {
                    veiled(acl.lines())
                };
                Ok(Answer::Acl(lines, stat))
            }
            Read::GetEphemerals { prefix } => {
                let prefix = match prefix.trim() {
                    "" | "/" => "",
                    _ => prefix.as_str(),
                };
                let own = tree.ephemerals(self.client.session);
                let paths = own.filter(|path| path.starts_with(prefix));
                Ok(Answer::Ephemerals(paths.map(ToOwned::to_owned).collect()))
            }
            Read::GetAllChildrenNumber { path } => {
                self.may(READ, &path)?;
                let count = i32::try_from(tree.count_below(&path)).unwrap_or(i32::MAX);
                Ok(Answer::Count(count))
            }
            Read::MultiRead(reads) => self.several(reads),
            Read::WhoAmI => Ok(Answer::WhoAmI(auth::who(&self.client.ids()))),
            Read::SetWatches(asked) => {
                let mut clients = self.served.clients.lock();
                clients.set_watches(self.client, tree, &asked, self.config)?;
                Ok(Answer::Nothing)
            }
            Read::AddWatch { path, recursive } => {
                self.watch(&path, if recursive { RECURSIVE } else { PERSISTENT })?;
                Ok(Answer::Nothing)
            }
            Read::CheckWatches { path, kind } => {
                let clients = self.served.clients.lock();
                if clients.is_watched(self.client, &path, kind) {
                    Ok(Answer::Nothing)
                } else {
                    Err(CoordError::NoWatcher { path })
                }
            }
            Read::RemoveWatches { path, kind } => {
                let mut clients = self.served.clients.lock();
                if clients.unwatch(self.client, &path, kind) {
                    Ok(Answer::Nothing)
                } else {
                    Err(CoordError::NoWatcher { path })
                }
            }
        }
    }

    fn several(&self, reads: Vec<Read>) -> Result<Answer, CoordError> {
        // What can be asked for in one request must not be answered with more than a client would take, over and over.
        let mut left = limits::MULTI_BYTES_MAX;
        let mut answers = Vec::new();
        for read in reads {
            let answer = match read {
                Read::GetData { .. } | Read::GetChildren { .. } => {
                    self.read(read).map_err(|error| error.code())
                }
                _ => {
                    return Err(CoordError::BadArguments {
                        path: String::new(),
                        reason: "only data and children can be read together",
                    });
                }
            };
            let size = answer.as_ref().map_or(0, Answer::size);
            left = left.checked_sub(size).ok_or(CoordError::TooLarge {
                what: "a multi's answer",
                size: limits::MULTI_BYTES_MAX - left + size,
                limit: limits::MULTI_BYTES_MAX,
            })?;
            answers.push(answer);
        }
        Ok(Answer::Read(answers))
    }

    /// The znode's list, if it permits one of `perms`.
    fn may(&self, perms: i32, path: &str) -> Result<&AclList, CoordError> {
        let none = || CoordError::NoNode {
            path: path.to_owned(),
        };
        // A path that no znode can have is no error of its own in a read.
        check_path(path).map_err(|_| none())?;
        let acl = self.served.tree.acl(path).ok_or_else(none)?;
        acl.check(perms, &self.caller, self.config.rules(), path)?;
        Ok(acl)
    }

    fn watch(&self, path: &str, modes: u8) -> Result<(), CoordError> {
        let mut clients = self.served.clients.lock();
        clients.watch(self.client, path, modes, self.config)
    }
}

impl Answer {
    /// Bytes, roughly.
    fn size(&self) -> usize {
        match self {
            Answer::Data(data, _) => data.len() + 100,
            Answer::Children(names, _) => names.iter().map(|n| n.len() + 4).sum::<usize>() + 100,
            _ => 100,
        }
    }
}
