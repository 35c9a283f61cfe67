//! A ZooKeeper as a zoo.cfg asks for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use milena_node::ZooCfg;
use milena_node::zookeeper::{ZooKeeper, import};

fn cfg(dir: &Path, lines: &str) -> ZooCfg {
    let path = dir.join("zoo.cfg");
    let data = dir.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let text = format!(
        "dataDir={}\nclientPort=0\nclientPortAddress=127.0.0.1\n{lines}\n",
        data.display()
    );
    std::fs::write(&path, text).unwrap();
    ZooCfg::read(&path).unwrap()
}

fn word(address: SocketAddr, word: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(word.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zoo_cfg_makes_a_zookeeper_that_is_there_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = cfg(dir.path(), "tickTime=500\n4lw.commands.whitelist=conf");
    for epoch in 1..3 {
        let zookeeper = ZooKeeper::start(&cfg).await.unwrap();
        let address = zookeeper.address();
        let (srvr, conf) =
            tokio::task::spawn_blocking(move || (word(address, "srvr"), word(address, "conf")))
                .await
                .unwrap();
        assert!(srvr.contains("\nMode: standalone\n"), "{srvr}");
        assert!(conf.contains("\nmaxSessionTimeout=10000\n"), "{conf}");
        assert!(
            srvr.contains(&format!("\nZxid: 0x{epoch:x}")) || srvr.contains("\nZxid: 0x0\n"),
            "{srvr}"
        );
        zookeeper.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_served_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let refused = async |cfg: &ZooCfg| {
        ZooKeeper::start(cfg)
            .await
            .err()
            .expect("refused")
            .to_string()
    };
    let mut alone = cfg(dir.path(), "");
    std::fs::create_dir(dir.path().join("data/version-2")).unwrap();
    let error = refused(&alone).await;
    let data = dir.path().join("data").display().to_string();
    assert!(error.contains("holds a ZooKeeper's data"), "{error}");
    let command = format!("`milena coord import {data} --into {data}`");
    assert!(error.contains(&command), "{error}");
    std::fs::remove_dir(dir.path().join("data/version-2")).unwrap();
    alone.client = Some("192.0.2.1:1".parse().unwrap());
    assert!(
        refused(&alone)
            .await
            .contains("cannot serve ZooKeeper's clients on 192.0.2.1:1")
    );
    std::fs::write(dir.path().join("data/myid"), "1").unwrap();
    let several = cfg(dir.path(), "server.1=a:1:2\nserver.2=b:1:2");
    assert!(refused(&several).await.contains("names 2 servers"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_on_what_was_imported() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = cfg(dir.path(), "4lw.commands.whitelist=mntr");
    let theirs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coord/tests/fixtures/zookeeper");
    let imported = import(&theirs, None, &dir.path().join("data")).unwrap();
    let zookeeper = ZooKeeper::start(&cfg).await.unwrap();
    let address = zookeeper.address();
    let mntr = tokio::task::spawn_blocking(move || word(address, "mntr"))
        .await
        .unwrap();
    // ZooKeeper counts its root twice.
    let znodes = format!("zk_znode_count\t{}\n", imported.znodes + 1);
    assert!(mntr.contains(&znodes), "{mntr}");
    assert!(mntr.contains("zk_ephemerals_count\t1\n"), "{mntr}");
    assert!(mntr.contains("zk_global_sessions\t2\n"), "{mntr}");
    zookeeper.stop().await;
}
