//! Four-letter words, as scripts take them apart.

use crate::client::{CREATE, Client, EXISTS, create, read, word};
use crate::{start, start_with};

#[tokio::test]
async fn only_srvr_is_answered_unless_the_others_are_listed() {
    let server = start_with(|config| config.words = vec!["ruok".to_owned()]).await;
    assert_eq!(word(server.address, "ruok").await, "imok");
    assert_eq!(
        word(server.address, "stat").await,
        "stat is not executed because it is not in the whitelist.\n"
    );
    let text = word(server.address, "srvr").await;
    assert!(text.starts_with("Zookeeper version: 3.9.5-"), "{text}");
}

#[tokio::test]
async fn srvr_has_the_lines_that_clients_look_for() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    let created = c.ask(1, CREATE, create("/a", b"", 0)).await;
    let text = word(server.address, "srvr").await;
    let lines: Vec<&str> = text.lines().collect();
    let starts = [
        "Zookeeper version: ",
        "Latency min/avg/max: ",
        "Received: ",
        "Sent: ",
        "Connections: 2",
        "Outstanding: 0",
        "Zxid: 0x",
        "Mode: standalone",
        "Node count: 6",
    ];
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line} for {start}");
    }
    assert_eq!(lines[6], format!("Zxid: 0x{:x}", created.zxid));
    assert!(lines[0].contains(", built on "), "{text}");
}

#[tokio::test]
async fn every_word_has_its_text() {
    let server = start_with(|config| config.words = vec!["*".to_owned()]).await;
    let mut c = Client::connect(server.address).await;
    c.ask(1, CREATE, create("/e", b"", 1)).await;
    c.ask(2, EXISTS, read("/e", true)).await;
    let session = format!("0x{:x}", c.session.id);
    let cons = word(server.address, "cons").await;
    assert!(
        cons.contains(&format!("sid={session},lop=EXIS,est=")),
        "{cons}"
    );
    assert!(
        cons.contains(",lcxid=0x2,") && cons.contains("(queued=0,recved=3,sent="),
        "{cons}"
    );
    let dump = word(server.address, "dump").await;
    assert!(
        dump.contains(&format!(
            "Sessions with Ephemerals (1):\n{session}:\n\t/e\n"
        )),
        "{dump}"
    );
    assert_eq!(
        word(server.address, "wchp").await,
        format!("/e\n\t{session}\n\n")
    );
    assert_eq!(
        word(server.address, "wchc").await,
        format!("{session}\n\t/e\n\n")
    );
    assert_eq!(
        word(server.address, "wchs").await,
        "1 connections watching 1 paths\nTotal watches:1\n"
    );
    let mntr = word(server.address, "mntr").await;
    for line in [
        "zk_server_state\tstandalone\n",
        "zk_ephemerals_count\t1\n",
        "zk_watch_count\t1\n",
        "zk_znode_count\t6\n",
    ] {
        assert!(mntr.contains(line), "{line}: {mntr}");
    }
    assert!(
        word(server.address, "envi")
            .await
            .contains("\nzookeeper.version=3.9.5-")
    );
    assert!(
        word(server.address, "conf")
            .await
            .contains("\nmaxClientCnxns=60\n")
    );
    assert_eq!(
        word(server.address, "dirs").await,
        "datadir_size: 0\nlogdir_size: 0\n"
    );
    assert_eq!(word(server.address, "isro").await, "rw");
    assert_eq!(word(server.address, "gtmk").await, "306");
    assert!(
        word(server.address, "stat")
            .await
            .contains("\nClients:\n /127.0.0.1:")
    );
    assert_eq!(
        word(server.address, "crst").await,
        "Connection stats reset.\n"
    );
    assert_eq!(word(server.address, "srst").await, "Server stats reset.\n");
    let srvr = word(server.address, "srvr").await;
    assert!(
        srvr.contains("\nReceived: 1\n") || srvr.contains("\nReceived: 2\n"),
        "{srvr}"
    );
}
