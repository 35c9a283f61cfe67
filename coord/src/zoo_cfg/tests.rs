//! Files as people have them.

use super::*;

fn parse(text: &str) -> Result<ZooCfg, String> {
    ZooCfg::parse(Path::new("/etc/zoo.cfg"), text).map_err(|error| error.to_string())
}

#[test]
fn a_usual_file_is_read_and_says_what_it_does_not_know() {
    let cfg = parse(
        "# The number of milliseconds of each tick\ntickTime=2000\ninitLimit=10\nsyncLimit=4\ndataDir=/var/lib/zk\n\
         dataLogDir=/var/log/zk\nclientPort=2181\nclientPortAddress=127.0.0.1\nmaxClientCnxns=100\n\
         autopurge.snapRetainCount=3\n4lw.commands.whitelist=stat, ruok\nmaxSessionTimeout=60000\n\
         admin.serverPort=0\nextendedTypesEnabled=true\nDigestAuthenticationProvider.superDigest=super:x=\n\
         server.1=a:2888:3888\nserver.2=b:2888:3888:observer\nmaxClientConnections=7\nreconfigEnabled=True\n",
    )
    .unwrap();
    assert_eq!(cfg.data_dir, Path::new("/var/lib/zk"));
    assert_eq!(cfg.client, Some("127.0.0.1:2181".parse().unwrap()));
    assert_eq!(
        (
            cfg.tick_ms,
            cfg.session_timeout_ms_min,
            cfg.session_timeout_ms_max
        ),
        (2_000, 4_000, 60_000)
    );
    assert_eq!((cfg.init_limit, cfg.sync_limit), (10, 4));
    assert_eq!(cfg.client_connections_max, 100);
    assert_eq!(cfg.words, ["stat", "ruok"]);
    assert_eq!(cfg.admin_port, Some(0));
    assert!(cfg.extended_types && cfg.reconfig);
    assert_eq!(cfg.super_digest.as_deref(), Some("super:x="));
    assert_eq!(cfg.servers.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert!(!cfg.is_alone());
    assert_eq!(cfg.passed_over, ["dataLogDir", "autopurge.snapRetainCount"]);
    assert_eq!(cfg.unknown, ["maxClientConnections"]);
}

#[test]
fn what_shuts_people_out_and_cannot_be_kept_is_refused() {
    for text in [
        "enforce.auth.enabled=true",
        "zookeeper.enforce.auth.enabled=true",
        "sessionRequireClientSASLAuth=true",
        "requireClientAuthScheme=sasl",
        "DigestAuthenticationProvider.digestAlg=SHA-256",
    ] {
        let error = parse(&format!("dataDir=/a\n{text}")).unwrap_err();
        assert!(error.contains(&format!("{text}: this version")), "{error}");
    }
    let cfg = parse(
        "dataDir=/a\nenforce.auth.enabled=false\nenforce.auth.schemes=digest\n\
         DigestAuthenticationProvider.enabled=false\nDigestAuthenticationProvider.digestAlg=SHA1\n",
    )
    .unwrap();
    assert!(!cfg.digest_enabled && cfg.unknown.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let table = [
        (
            "clientPort=2181",
            "/etc/zoo.cfg: dataDir is not set: say where the data is kept, as in dataDir=/var/lib/zookeeper",
        ),
        (
            "dataDir=/a\n\ntickTime=x",
            "/etc/zoo.cfg, line 3: tickTime=x: it is no number that fits here",
        ),
        (
            "tickTime=0",
            "/etc/zoo.cfg, line 1: tickTime=0: it must be more than 0",
        ),
        (
            "clientPort=70000",
            "/etc/zoo.cfg, line 1: clientPort=70000: it is no number that fits here",
        ),
        (
            "peerType=king",
            "/etc/zoo.cfg, line 1: peerType=king: it is neither participant nor observer",
        ),
        (
            "server.x=a:1:2",
            "/etc/zoo.cfg, line 1: server.x=a:1:2: \"x\" is no member's number",
        ),
        (
            "server.1=a",
            "/etc/zoo.cfg, line 1: server.1=a: HOST:PORT:PORT is expected",
        ),
        (
            "reconfigEnabled=yes",
            "/etc/zoo.cfg, line 1: reconfigEnabled=yes: it is neither true nor false",
        ),
        (
            "dataDir=/a\nclientPortAddress=1.2.3.4",
            "/etc/zoo.cfg: clientPortAddress is set, and clientPort is not",
        ),
        (
            "dataDir=/a\nminSessionTimeout=9\nmaxSessionTimeout=8",
            "/etc/zoo.cfg: minSessionTimeout is longer than maxSessionTimeout",
        ),
    ];
    for (text, error) in table {
        assert_eq!(parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn an_ensemble_needs_myid_and_finds_its_client_port_in_its_own_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zoo.cfg");
    let data = dir.path().display();
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let read = || ZooCfg::read(&path).map_err(|error| error.to_string());
    write(&format!("dataDir={data}\ndynamicConfigFile=zoo.dynamic\n"));
    assert!(read().unwrap_err().contains("zoo.dynamic: "));
    let servers = "server.1=a:1:2;2181\nserver.2=b:1:2;127.0.0.1:2182\nversion=1\n";
    std::fs::write(dir.path().join("zoo.dynamic"), servers).unwrap();
    assert!(read().unwrap_err().contains("myid: it is missing"));
    std::fs::write(dir.path().join("myid"), "two").unwrap();
    assert!(read().unwrap_err().contains("\"two\""));
    std::fs::write(dir.path().join("myid"), "2\n").unwrap();
    let cfg = read().unwrap();
    assert_eq!(cfg.my_id, Some(2));
    assert_eq!(cfg.client, Some("127.0.0.1:2182".parse().unwrap()));
    write(&format!("dataDir={data}\nserver.2=b:1:2\n"));
    assert!(read().unwrap_err().contains("clientPort is not set"));
    write(&format!(
        "dataDir={data}\nserver.2=b:1:2\nclientPort=2181\n"
    ));
    let cfg = read().unwrap();
    assert!(cfg.is_alone());
    assert_eq!(cfg.client, Some("0.0.0.0:2181".parse().unwrap()));
}
