//! How a client proves who it is. What that permits it is `tree::acl`'s business; the listener hands on what the client
//! sent.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::error::CoordError;
use crate::tree::Id;

/// The most identities that one connection may prove, so that a permission never costs a long search.
const IDS_MAX: usize = 64;
/// The most bytes of a user's name: a connection keeps it, and every list that it is put on.
const NAME_BYTES_MAX: usize = 1 << 10;

/// Who is at the other end of a connection, as far as the connection itself says it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// The address, which the scheme `ip` matches.
    pub(crate) ip: Option<IpAddr>,
    /// The subject of a client certificate that was verified, for the scheme `x509`.
    pub(crate) x509: Option<String>,
}

/// The accounts that may do everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supers {
    /// `user:base64(sha1(user:password))`.
    pub(crate) digest: Option<String>,
    /// A certificate's subject.
    pub(crate) x509: Option<String>,
    /// The scheme `digest` is switched off.
    pub(crate) no_digest: bool,
}

fn superuser() -> Id {
    Id::new("super", "")
}

impl Supers {
    /// The identities that a connection has from the start.
    pub(crate) fn greet(&self, peer: &Peer) -> Vec<Id> {
        let mut ids = Vec::new();
        ids.extend(
            peer.ip
                .map(|ip| Id::new("ip", ip.to_canonical().to_string())),
        );
        if let Some(subject) = &peer.x509 {
            if self.x509.as_ref() == Some(subject) {
                ids.push(superuser());
            }
            ids.push(Id::new("x509", subject));
        }
        ids
    }

    /// Adds the identities that `auth` proves to `ids`.
    pub(crate) fn prove(
        &self,
        ids: &mut Vec<Id>,
        peer: &Peer,
        scheme: &str,
        auth: &[u8],
    ) -> Result<(), CoordError> {
        let proved = match scheme {
            "digest" if !self.no_digest && name_of(auth).len() <= NAME_BYTES_MAX => {
                let digest = digest(auth);
                let is_super = self.digest.as_ref() == Some(&digest);
                let own = Id::new("digest", digest);
                is_super
                    .then(superuser)
                    .into_iter()
                    .chain([own])
                    .collect::<Vec<_>>()
            }
            // The address is known already; saying so is no error.
            "ip" => peer
                .ip
                .map(|ip| Id::new("ip", ip.to_canonical().to_string()))
                .into_iter()
                .collect(),
            "x509" if peer.x509.is_some() => Vec::new(),
            _ => {
                return Err(CoordError::AuthFailed {
                    scheme: scheme.chars().take(40).collect(),
                });
            }
        };
        for id in proved {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.len() > IDS_MAX {
            ids.truncate(IDS_MAX);
            return Err(CoordError::AuthFailed {
                scheme: scheme.to_owned(),
            });
        }
        Ok(())
    }
}

fn name_of(user_and_password: &[u8]) -> &[u8] {
    let parts = user_and_password.split(|byte| *byte == b':').next();
    parts.unwrap_or_default()
}

/// What the scheme `digest` knows a user by: the name, and the hash of name and password.
fn digest(user_and_password: &[u8]) -> String {
    let text = String::from_utf8_lossy(user_and_password);
    let user = text.split(':').next().unwrap_or_default();
    format!("{user}:{}", STANDARD.encode(Sha1::digest(text.as_bytes())))
}

/// What a client may be told of its own identities: the scheme and the user's name.
pub(crate) fn who(ids: &[Id]) -> Vec<(String, String)> {
    let name = |id: &Id| match id.scheme.as_str() {
        "digest" => id.id.split(':').next().unwrap_or_default().to_owned(),
        "super" => String::new(),
        _ => id.id.clone(),
    };
    ids.iter().map(|id| (id.scheme.clone(), name(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_one_that_zookeepers_tools_make() {
        // From ZooKeeper's administrator's guide and its tests.
        assert_eq!(digest(b"super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        assert_eq!(digest(b"a:b:c").split(':').next(), Some("a"));
    }

    #[test]
    fn an_account_of_the_operator_is_super_and_an_unknown_scheme_fails() {
        let supers = Supers {
            digest: Some(digest(b"root:secret")),
            x509: Some("CN=root".into()),
            no_digest: false,
        };
        let peer = Peer {
            ip: Some("::ffff:10.0.0.1".parse().unwrap()),
            x509: Some("CN=root".into()),
        };
        let mut ids = supers.greet(&peer);
        let names = [("ip", "10.0.0.1"), ("super", ""), ("x509", "CN=root")];
        assert_eq!(who(&ids), names.map(|(s, n)| (s.into(), n.into())));
        ids.clear();
        let peer = Peer::default();
        supers
            .prove(&mut ids, &peer, "digest", b"root:wrong")
            .unwrap();
        assert!(ids.iter().all(|id| id.scheme != "super"));
        supers
            .prove(&mut ids, &peer, "digest", b"root:secret")
            .unwrap();
        supers
            .prove(&mut ids, &peer, "digest", b"root:secret")
            .unwrap();
        assert_eq!(who(&ids).len(), 3, "two digests and super, each once");
        let mut long = vec![b'u'; NAME_BYTES_MAX + 1];
        long.extend_from_slice(b":p");
        assert!(supers.prove(&mut ids, &peer, "digest", &long).is_err());
        for scheme in ["sasl", "x509", ""] {
            assert!(supers.prove(&mut ids, &peer, scheme, b"").is_err());
        }
        let full = (0..=IDS_MAX).map(|n| {
            let auth = format!("u{n}:p");
            supers.prove(&mut ids, &peer, "digest", auth.as_bytes())
        });
        assert!(full.last().unwrap().is_err());
    }
}
