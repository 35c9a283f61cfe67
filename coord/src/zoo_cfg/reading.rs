//! One file under way: each key and what it sets, and the settings that only make sense together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::properties::Property;
use super::{ZooCfg, ZooCfgError, ZooServer, resolve};

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
    "enforce.auth.schemes",
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
    "sasl.",
    "serverCnxnFactory",
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

/// Of a setting that keeps clients out who have not proved who they are.
const UNENFORCED: &str = "this version cannot refuse clients that have not authenticated: leave it out only where \
                          everybody who reaches the port may come in";

/// A file under way, with the settings that only make sense together.
pub(super) struct Reading {
    pub(super) path: PathBuf,
    cfg: ZooCfg,
    data_dir: Option<PathBuf>,
    pub(super) dynamic: Option<PathBuf>,
    timeouts: (Option<u32>, Option<u32>),
    client: (Option<String>, Option<u16>),
    secure: (Option<String>, Option<u16>),
    admin: (bool, u16),
}

impl Reading {
    pub(super) fn new(path: &Path) -> Reading {
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
                digest_enabled: true,
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

    pub(super) fn set(&mut self, property: &Property) -> Result<(), ZooCfgError> {
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
            // A server that passed these over would be open to those whom they shut out.
            "enforce.auth.enabled" | "sessionRequireClientSASLAuth" if boolean(value)? => {
                return Err(UNENFORCED.to_owned());
            }
            "requireClientAuthScheme" if !value.is_empty() => return Err(UNENFORCED.to_owned()),
            "enforce.auth.enabled" | "sessionRequireClientSASLAuth" | "requireClientAuthScheme" => {
                cfg.passed_over.push(key.clone());
            }
            "DigestAuthenticationProvider.enabled" => cfg.digest_enabled = boolean(value)?,
            "DigestAuthenticationProvider.digestAlg" => {
                if !["SHA1", "SHA-1", "SHA"]
                    .iter()
                    .any(|alg| value.eq_ignore_ascii_case(alg))
                {
                    return Err(
                        "this version hashes with SHA1 only, and no list would match".to_owned(),
                    );
                }
                cfg.passed_over.push(key.clone());
            }
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

    pub(super) fn finish(self) -> Result<ZooCfg, ZooCfgError> {
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
