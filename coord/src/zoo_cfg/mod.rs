//! ZooKeeper's zoo.cfg: what an organisation has already, read as ZooKeeper 3.9 reads it.
//!
//! Keys that stand for something that we do otherwise (purging, the log's folder) are known and said to be passed over;
//! keys that nobody knows are said, too. Who starts a service by it is `milena coord`.

mod properties;
mod reading;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use reading::Reading;
pub use server::ZooServer;

/// Why a zoo.cfg is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ZooCfgError {
    /// The file, or a file that it names, cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A value that its key cannot have.
    #[error("{path}, line {line}: {key}={value}: {reason}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What it was set to.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something is missing, or two settings contradict one another.
    #[error("{path}: {reason}")]
    Whole {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The settings of a zoo.cfg, and this member's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooCfg {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where clients connect.
    pub client: Option<SocketAddr>,
    /// Where clients connect by TLS.
    pub secure_client: Option<SocketAddr>,
    /// The unit of time-outs, in milliseconds.
    pub tick_ms: u32,
    /// Ticks that a follower may take to synchronize.
    pub init_limit: u32,
    /// Ticks that a follower may lag.
    pub sync_limit: u32,
    /// The shortest session timeout, in milliseconds.
    pub session_timeout_ms_min: u32,
    /// The longest session timeout, in milliseconds.
    pub session_timeout_ms_max: u32,
    /// Connections from one address at most; 0 is no limit.
    pub client_connections_max: usize,
    /// Connections at all at most; 0 is no limit.
    pub connections_max: usize,
    /// The longest frame of a client, in bytes.
    pub frame_bytes_max: usize,
    /// The four-letter words that are answered, beside `srvr`; `*` is all.
    pub words: Vec<String>,
    /// The members, by id; none where it is alone.
    pub servers: BTreeMap<u64, ZooServer>,
    /// This member's id, from `myid` in the data folder.
    pub my_id: Option<u64>,
    /// This member has no vote.
    pub observer: bool,
    /// A single `server.N` line makes a server that is alone.
    pub standalone: bool,
    /// Whether clients may change the membership.
    pub reconfig: bool,
    /// TTL znodes.
    pub extended_types: bool,
    /// Whether users may prove themselves by password.
    pub digest_enabled: bool,
    /// Who may do everything: `user:` and the base64 of a SHA-1.
    pub super_digest: Option<String>,
    /// The X.509 subject that may do everything.
    pub x509_super: Option<String>,
    /// ACLs are not looked at.
    pub skip_acl: bool,
    /// Writes past a quota are refused, not only warned of.
    pub enforce_quota: bool,
    /// Serve reads without a quorum.
    pub read_only: bool,
    /// How often containers are swept, in milliseconds.
    pub container_check_ms: i64,
    /// The HTTP port for administration, unless it is switched off.
    pub admin_port: Option<u16>,
    /// Keys that are ZooKeeper's and change nothing here.
    pub passed_over: Vec<String>,
    /// Keys that nobody knows: probably slips.
    pub unknown: Vec<String>,
}

impl ZooCfg {
    /// Reads a zoo.cfg, the dynamic file that it may name, and `myid` in its data folder.
    pub fn read(path: &Path) -> Result<ZooCfg, ZooCfgError> {
        let mut cfg = ZooCfg::parse(path, &read(path)?)?;
        let my_id = cfg.data_dir.join("myid");
        match std::fs::read_to_string(&my_id) {
            Ok(text) => cfg.my_id = Some(parse_my_id(&my_id, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !cfg.is_alone() {
                    return Err(ZooCfgError::Whole {
                        path: my_id,
                        reason: "it is missing: with server.N lines it must hold this member's N"
                            .to_owned(),
                    });
                }
            }
            Err(source) => {
                return Err(ZooCfgError::Read {
                    path: my_id,
                    source,
                });
            }
        }
        cfg.find_client_address(path)?;
        Ok(cfg)
    }

    /// Whether this server needs no others.
    pub fn is_alone(&self) -> bool {
        self.servers.len() <= usize::from(self.standalone)
    }

    fn parse(path: &Path, text: &str) -> Result<ZooCfg, ZooCfgError> {
        let mut read = Reading::new(path);
        for property in properties::parse(text) {
            read.set(&property)?;
        }
        if let Some(dynamic) = read.dynamic.clone() {
            let dynamic = path.parent().unwrap_or(Path::new("")).join(dynamic);
            let text = self::read(&dynamic)?;
            read.path.clone_from(&dynamic);
            for property in properties::parse(&text) {
                if property.key.starts_with("server.") {
                    read.set(&property)?;
                }
            }
        }
        path.clone_into(&mut read.path);
        read.finish()
    }

    /// Without clientPort, the member's own line says where its clients connect.
    fn find_client_address(&mut self, path: &Path) -> Result<(), ZooCfgError> {
        if self.client.is_none() {
            let own = self.my_id.and_then(|id| self.servers.get(&id));
            if let Some((host, port)) = own.and_then(|own| own.client.as_ref()) {
                self.client = Some(resolve(path, host.as_deref(), *port)?);
            }
        }
        if self.client.is_none() && self.secure_client.is_none() {
            return Err(ZooCfgError::Whole {
                path: path.to_owned(),
                reason: "clientPort is not set: say where clients connect, as in clientPort=2181"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, ZooCfgError> {
    std::fs::read_to_string(path).map_err(|source| ZooCfgError::Read {
        path: path.to_owned(),
        source,
    })
}

fn parse_my_id(path: &Path, text: &str) -> Result<u64, ZooCfgError> {
    text.trim().parse().map_err(|_| ZooCfgError::Whole {
        path: path.to_owned(),
        reason: format!("it holds {:?}, and not this member's number", text.trim()),
    })
}

fn resolve(path: &Path, host: Option<&str>, port: u16) -> Result<SocketAddr, ZooCfgError> {
    let Some(host) = host else {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    };
    let found = (server::bare(host), port).to_socket_addrs();
    found
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(|| ZooCfgError::Whole {
            path: path.to_owned(),
            reason: format!("the address {host:?} of the clients' port cannot be found"),
        })
}
