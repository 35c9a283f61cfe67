//! Clients that mean no good, or cannot do better.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{CREATE, Client, EXISTS, GET_DATA, create, frame, read};
use crate::{start, start_with};

#[tokio::test]
async fn a_frame_past_the_limit_cuts_the_connection_and_the_session_lives_on() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    c.ask(1, CREATE, create("/e", b"", 1)).await;
    c.stream
        .write_all(&(1_048_576_i32).to_be_bytes())
        .await
        .unwrap();
    assert_eq!(c.next().await, None);
    let mut c = Client::resume(server.address, &c.session)
        .await
        .expect("it lives on");
    assert_eq!(c.error(EXISTS, read("/e", false)).await, 0);
    let large = vec![7; 1_000_000];
    assert_eq!(c.error(CREATE, create("/large", &large, 0)).await, 0);
    assert_eq!(
        c.ask(2, GET_DATA, read("/large", false)).await.body.len(),
        4 + 1_000_000 + 68
    );
}

#[tokio::test]
async fn bytes_that_are_no_protocol_close_the_connection() {
    let server = start().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x04abcd",
        b"xxxx",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert_eq!(frame(&mut stream).await, None, "{bytes:?}");
    }
    let mut c = Client::connect(server.address).await;
    c.stream.write_all(b"\0\0\0\x03abc").await.unwrap();
    assert_eq!(c.next().await, None, "a request without a header");
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let server = start_with(|config| config.connections_per_address_max = 2).await;
    let first = Client::connect(server.address).await;
    let mut second = Client::connect(server.address).await;
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(frame(&mut third).await, None);
    assert_eq!(second.error(EXISTS, read("/", false)).await, 0);
    drop(first);
    loop {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = crate::client::connect_request(0, 10_000, &crate::client::Session::none());
        crate::client::send(&mut stream, &request.0).await;
        if frame(&mut stream).await.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_left_and_nobody_else_suffers() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    c.ask(1, CREATE, create("/large", &vec![7; 900_000], 0))
        .await;
    let mut greedy = TcpStream::connect(server.address).await.unwrap();
    let request = crate::client::connect_request(0, 500, &crate::client::Session::none());
    crate::client::send(&mut greedy, &request.0).await;
    frame(&mut greedy).await.unwrap();
    let mut get = body_of_get();
    get.splice(0..0, (get.len() as i32).to_be_bytes());
    let mut asked = 0;
    // Until the server takes no more requests: what it holds for this client is bounded.
    while let Ok(Ok(())) = timeout(
        Duration::from_millis(200),
        greedy.write_all(&get.repeat(100)),
    )
    .await
    {
        asked += 100;
        assert!(asked < 2_000_000, "a flood is taken in without end");
        if asked % 10_000 == 0 {
            assert_eq!(c.error(EXISTS, read("/large", false)).await, 0);
        }
    }
    assert_eq!(c.error(EXISTS, read("/large", false)).await, 0);
}

fn body_of_get() -> Vec<u8> {
    let mut bytes = 1_i32.to_be_bytes().to_vec();
    bytes.extend(GET_DATA.to_be_bytes());
    bytes.extend(read("/large", false).0);
    bytes
}
