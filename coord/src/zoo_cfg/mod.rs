//! ZooKeeper's zoo.cfg: what an organisation has already, read as ZooKeeper 3.9 reads it.
//!
//! Keys that stand for something that we do otherwise (purging, the log's folder) are known and said to be passed over;
//! keys that nobody knows are said, too. Who starts a service by it is `milena coord`.

mod properties;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use properties::Property;
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

/// Keys that ZooKeeper has and that have nothing to set here, or not yet. A key that ends with `.` is a family.
const PASSED_OVER: &[&str] = &[
    "autopurge.snapRetainCount",
    "autopurge.purgeInterval",
    "admin.",
    "audit.",
    "authProvider.",
    "clientPortListenBacklog",
    "commitProcessor.",
    "connectToLearnerMasterLimit",
    "dataLogDir",
    "electionAlg",
    "fastleader.",
    "flushDelay",
    "forceSync",
    "fsync.",
    "globalOutstandingLimit",
    "group.",
    "jvm.",
    "kerberos.",
    "leaderServes",
    "localSessionsEnabled",
    "localSessionsUpgradingEnabled",
    "maxBatchSize",
    "metricsProvider.",
    "multiAddress.",
    "observer.",
    "observerMasterPort",
    "oraclePath",
    "portUnification",
    "preAllocSize",
    "quorum.",
    "quorumListenOnAllIPs",
    "request_throttle_",
    "requireClientAuthScheme",
    "sasl.",
    "serverCnxnFactory",
    "sessionRequireClientSASLAuth",
    "snapCount",
    "snapSizeLimitInKb",
    "snapshot.",
    "ssl.",
    "sslQuorum",
    "sslQuorumReloadCertFiles",
    "syncEnabled",
    "tcpKeepAlive",
    "weight.",
    "znode.container.maxPerMinute",
];

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

/// A file under way, with the settings that only make sense together.
struct Reading {
    path: PathBuf,
    cfg: ZooCfg,
    data_dir: Option<PathBuf>,
    dynamic: Option<PathBuf>,
    timeouts: (Option<u32>, Option<u32>),
    client: (Option<String>, Option<u16>),
    secure: (Option<String>, Option<u16>),
    admin: (bool, u16),
}

impl Reading {
    fn new(path: &Path) -> Reading {
        Reading {
            path: path.to_owned(),
            cfg: ZooCfg {
                data_dir: PathBuf::new(),
                client: None,
                secure_client: None,
                tick_ms: 3_000,
                init_limit: 10,
                sync_limit: 5,
                session_timeout_ms_min: 0,
                session_timeout_ms_max: 0,
                client_connections_max: 60,
                connections_max: 0,
                frame_bytes_max: 0xf_ffff,
                words: Vec::new(),
                servers: BTreeMap::new(),
                my_id: None,
                observer: false,
                standalone: true,
                reconfig: false,
                extended_types: false,
                super_digest: None,
                x509_super: None,
                skip_acl: false,
                enforce_quota: false,
                read_only: false,
                container_check_ms: 60_000,
                admin_port: None,
                passed_over: Vec::new(),
                unknown: Vec::new(),
            },
            data_dir: None,
            dynamic: None,
            timeouts: (None, None),
            client: (None, None),
            secure: (None, None),
            admin: (true, 8080),
        }
    }

    fn set(&mut self, property: &Property) -> Result<(), ZooCfgError> {
        self.take(property).map_err(|reason| ZooCfgError::Value {
            path: self.path.clone(),
            line: property.line,
            key: property.key.clone(),
            value: property.value.clone(),
            reason,
        })
    }

    fn take(&mut self, Property { key, value, .. }: &Property) -> Result<(), String> {
        let cfg = &mut self.cfg;
        // Whatever ZooKeeper takes as a system property may also stand in the file, with or without its prefix.
        match key.strip_prefix("zookeeper.").unwrap_or(key) {
            "dataDir" => self.data_dir = Some(PathBuf::from(value)),
            "dynamicConfigFile" => self.dynamic = Some(PathBuf::from(value)),
            "clientPort" => self.client.1 = Some(number(value)?),
            "clientPortAddress" => self.client.0 = Some(value.clone()),
            "secureClientPort" => self.secure.1 = Some(number(value)?),
            "secureClientPortAddress" => self.secure.0 = Some(value.clone()),
            "tickTime" => cfg.tick_ms = positive(value)?,
            "initLimit" => cfg.init_limit = positive(value)?,
            "syncLimit" => cfg.sync_limit = positive(value)?,
            "minSessionTimeout" => self.timeouts.0 = timeout(value)?,
            "maxSessionTimeout" => self.timeouts.1 = timeout(value)?,
            "maxClientCnxns" => cfg.client_connections_max = number(value)?,
            "maxCnxns" => cfg.connections_max = number(value)?,
            "jute.maxbuffer" => cfg.frame_bytes_max = positive(value)? as usize,
            "4lw.commands.whitelist" => {
                let words = value.split(',').map(str::trim);
                cfg.words = words.filter(|w| !w.is_empty()).map(str::to_owned).collect();
            }
            "peerType" => {
                cfg.observer = match value.to_ascii_lowercase().as_str() {
                    "observer" => true,
                    "participant" => false,
                    _ => return Err("it is neither participant nor observer".to_owned()),
                };
            }
            "standaloneEnabled" => cfg.standalone = boolean(value)?,
            "reconfigEnabled" => cfg.reconfig = boolean(value)?,
            "extendedTypesEnabled" => cfg.extended_types = boolean(value)?,
            "DigestAuthenticationProvider.superDigest" => cfg.super_digest = Some(value.clone()),
            "X509AuthenticationProvider.superUser" => cfg.x509_super = Some(value.clone()),
            "skipACL" => cfg.skip_acl = value.eq_ignore_ascii_case("yes") || boolean(value)?,
            "enforceQuota" => cfg.enforce_quota = boolean(value)?,
            "readonlymode.enabled" => cfg.read_only = boolean(value)?,
            "znode.container.checkIntervalMs" => {
                cfg.container_check_ms = positive(value)?.into();
            }
            "admin.enableServer" => self.admin.0 = boolean(value)?,
            "admin.serverPort" => self.admin.1 = number(value)?,
            other => {
                if let Some(id) = other.strip_prefix("server.") {
                    let id = id
                        .parse()
                        .map_err(|_| format!("{id:?} is no member's number"))?;
                    cfg.servers.insert(id, ZooServer::parse(id, value)?);
                } else if is_passed_over(other) {
                    cfg.passed_over.push(key.clone());
                } else {
                    cfg.unknown.push(key.clone());
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<ZooCfg, ZooCfgError> {
        let whole = |reason: &str| ZooCfgError::Whole {
            path: self.path.clone(),
            reason: reason.to_owned(),
        };
        let mut cfg = self.cfg;
        cfg.data_dir = self.data_dir.ok_or_else(|| {
            whole(
                "dataDir is not set: say where the data is kept, as in dataDir=/var/lib/zookeeper",
            )
        })?;
        let of_ticks = |ticks: u32| cfg.tick_ms.saturating_mul(ticks);
        cfg.session_timeout_ms_min = self.timeouts.0.unwrap_or(of_ticks(2));
        cfg.session_timeout_ms_max = self.timeouts.1.unwrap_or(of_ticks(20));
        if cfg.session_timeout_ms_min > cfg.session_timeout_ms_max {
            return Err(whole("minSessionTimeout is longer than maxSessionTimeout"));
        }
        cfg.client = match &self.client {
            (host, Some(port)) => Some(resolve(&self.path, host.as_deref(), *port)?),
            (Some(_), None) => {
                return Err(whole("clientPortAddress is set, and clientPort is not"));
            }
            (None, None) => None,
        };
        cfg.secure_client = match &self.secure {
            (host, Some(port)) => Some(resolve(&self.path, host.as_deref(), *port)?),
            (Some(_), None) => {
                return Err(whole(
                    "secureClientPortAddress is set, and secureClientPort is not",
                ));
            }
            (None, None) => None,
        };
        cfg.admin_port = self.admin.0.then_some(self.admin.1);
        Ok(cfg)
    }
}

fn is_passed_over(key: &str) -> bool {
    PASSED_OVER
        .iter()
        .any(|known| match known.strip_suffix(['.', '_']) {
            Some(_) => key.starts_with(known),
            None => key == *known,
        })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "it is no number that fits here".to_owned())
}

fn positive(text: &str) -> Result<u32, String> {
    match number(text)? {
        0 => Err("it must be more than 0".to_owned()),
        number => Ok(number),
    }
}

/// -1 stands for what the tick gives.
fn timeout(text: &str) -> Result<Option<u32>, String> {
    if text == "-1" {
        Ok(None)
    } else {
        number(text).map(Some)
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it is neither true nor false".to_owned()),
    }
}
