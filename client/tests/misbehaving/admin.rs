//! An admin client whose cluster changes under it.

use client::{Admin, Client, ClientConfig, NewTopic};
use protocol::ErrorCode;
use protocol::api::create_topics::CreatableTopicResult;
use protocol::api::{AnyRequest, CreateTopicsResponse, MetadataResponse};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fake::{Reply, start};

#[tokio::test]
async fn a_controller_that_moved_is_found_in_newer_metadata() {
    let (mut asked, mut refused) = (0, 0);
    let port = start(move |port, arrived| match &arrived.request {
        AnyRequest::Metadata(request) => {
            asked += 1;
            // At first a controller that no list names, then one that says it is none.
            let brokers: &[i32] = if asked < 3 { &[1] } else { &[1, 2] };
            arrived.cluster(port, request, brokers, 2)
        }
        AnyRequest::CreateTopics(request) => {
            refused += 1;
            let code = match refused {
                1 => ErrorCode::NotController,
                _ => ErrorCode::None,
            };
            arrived.answer(&CreateTopicsResponse {
                topics: vec![CreatableTopicResult {
                    name: request.topics[0].name.clone(),
                    error_code: code.code(),
                    ..CreatableTopicResult::default()
                }],
                ..CreateTopicsResponse::default()
            })
        }
        _ => arrived.usual(port).unwrap_or(Reply::Close),
    })
    .await;
    let admin = Admin::new(ClientConfig::new(format!("127.0.0.1:{port}"))).expect("an address");
    let created = admin.create_topic(NewTopic::new("t")).await;
    assert_eq!(created.expect("created").name, "t");
}

#[tokio::test]
async fn only_the_first_look_at_a_topic_may_create_it() {
    let creating = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&creating);
    let port = start(move |port, arrived| match &arrived.request {
        AnyRequest::Metadata(request) => {
            if request.allow_auto_topic_creation {
                counted.fetch_add(1, Ordering::SeqCst);
                return arrived.metadata(port, request);
            }
            arrived.answer(&MetadataResponse::default())
        }
        _ => arrived.usual(port).unwrap_or(Reply::Close),
    })
    .await;
    let client = Client::new(ClientConfig::new(format!("127.0.0.1:{port}"))).expect("an address");
    client.topic("t").await.expect("created");
    client.refresh().await.expect("answered");
    assert_eq!(creating.load(Ordering::SeqCst), 1);
}
