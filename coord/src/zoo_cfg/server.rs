//! The members of an ensemble: `server.N=host:port:port[:role][;[client address:]client port]`.

/// A member, as its line in zoo.cfg has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooServer {
    /// N.
    pub id: u64,
    /// Its name or address.
    pub host: String,
    /// Where its followers reach it.
    pub quorum_port: u16,
    /// Where it is reached for elections.
    pub election_port: u16,
    /// It follows without a vote.
    pub observer: bool,
    /// Where its clients reach it: an address, if there is one, and a port.
    pub client: Option<(Option<String>, u16)>,
}

impl ZooServer {
    pub(super) fn parse(id: u64, text: &str) -> Result<ZooServer, String> {
        let (member, client) = match text.split_once(';') {
            Some((member, client)) => (member, Some(client.trim())),
            None => (text, None),
        };
        // Of several addresses of one member, the first is taken.
        let member = member.split('|').next().unwrap_or(member).trim();
        let (host, rest) = host_and_rest(member)?;
        let mut parts = rest.split(':');
        let mut port = |what: &str| match parts.next() {
            Some(text) => port(text),
            None => Err(format!(
                "the {what} port is missing: HOST:PORT:PORT is expected"
            )),
        };
        let (quorum_port, election_port) = (port("quorum")?, port("election")?);
        let observer = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("participant") => false,
            Some("observer") => true,
            Some(role) => return Err(format!("{role:?} is neither participant nor observer")),
        };
        if let Some(more) = parts.next() {
            return Err(format!("{more:?} is too much"));
        }
        let client = client.map(|text| match text.rsplit_once(':') {
            Some((host, at)) => Ok::<_, String>((Some(bare(host).to_owned()), self::port(at)?)),
            None => Ok((None, self::port(text)?)),
        });
        Ok(ZooServer {
            id,
            host,
            quorum_port,
            election_port,
            observer,
            client: client.transpose()?,
        })
    }
}

fn host_and_rest(text: &str) -> Result<(String, &str), String> {
    let found = match text.strip_prefix('[') {
        Some(inner) => inner.split_once("]:"),
        None => text.split_once(':'),
    };
    match found {
        Some((host, rest)) if !host.is_empty() => Ok((host.to_owned(), rest)),
        _ => Err("HOST:PORT:PORT is expected".to_owned()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is no port (0 to 65535)"))
}

/// An address without the brackets that IPv6 needs beside a port.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_in_all_their_forms() {
        let server = |text: &str| ZooServer::parse(3, text);
        let plain = ZooServer {
            id: 3,
            host: "zoo3".to_owned(),
            quorum_port: 2888,
            election_port: 3888,
            observer: false,
            client: None,
        };
        assert_eq!(server("zoo3:2888:3888"), Ok(plain.clone()));
        assert_eq!(server("zoo3:2888:3888:participant"), Ok(plain.clone()));
        assert_eq!(server("zoo3:2888:3888|zoo3b:2889:3889"), Ok(plain.clone()));
        assert_eq!(
            server("zoo3:2888:3888:Observer;0.0.0.0:2181"),
            Ok(ZooServer {
                observer: true,
                client: Some((Some("0.0.0.0".to_owned()), 2181)),
                ..plain.clone()
            })
        );
        assert_eq!(
            server("[::1]:2888:3888;2181"),
            Ok(ZooServer {
                host: "::1".to_owned(),
                client: Some((None, 2181)),
                ..plain
            })
        );
        for wrong in [
            "zoo3",
            "zoo3:2888",
            "zoo3:x:3888",
            "zoo3:1:2:leader",
            ":1:2",
            "a:1:2;x",
            "a:1:2:observer:4",
        ] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
