//! A broker's entry into the cluster: the scaffold of znodes, the cluster's id, its own
//! ephemeral znode, and, as it is the only broker, the controller's office.

use coord::{CoordError, CreateMode, Session};

use super::write::{Reign, WriteError};
use super::znodes::{self, BrokerNode, ClusterNode, ControllerNode, json};
use crate::time::now_ms;

/// What a broker is known by.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) rack: Option<String>,
}

/// Makes what has to be there; gives the cluster's id.
pub(crate) async fn scaffold(session: &Session) -> Result<String, WriteError> {
    for path in znodes::SCAFFOLD {
        ensure(session, path, Vec::new()).await?;
    }
    ensure(session, znodes::CONTROLLER_EPOCH, b"0".to_vec()).await?;
    let fresh = ClusterNode {
        version: "1".into(),
        id: znodes::base64_id::encode(&uuid::Uuid::new_v4()),
    };
    ensure(session, znodes::CLUSTER_ID, json(&fresh)).await?;
    let (data, _) = session.get(znodes::CLUSTER_ID)?;
    let node: ClusterNode = serde_json::from_slice(&data)?;
    Ok(node.id)
}

/// Registers the broker and takes the controller's office; gives the reign.
pub(crate) async fn register(
    session: &Session,
    registration: &Registration,
) -> Result<Reign, WriteError> {
    let endpoint = format!("PLAINTEXT://{}:{}", registration.host, registration.port);
    let timestamp = now_ms().to_string();
    let node = BrokerNode {
        version: 5,
        host: registration.host.clone(),
        port: registration.port.into(),
        endpoints: vec![endpoint],
        listener_security_protocol_map: [("PLAINTEXT".to_owned(), "PLAINTEXT".to_owned())].into(),
        rack: registration.rack.clone(),
        jmx_port: -1,
        timestamp: timestamp.clone(),
    };
    session
        .create(
            &znodes::broker(registration.id),
            json(&node),
            CreateMode::Ephemeral,
        )
        .await?;
    let controller = ControllerNode {
        version: 1,
        brokerid: registration.id,
        timestamp,
    };
    session
        .create(znodes::CONTROLLER, json(&controller), CreateMode::Ephemeral)
        .await?;
    let (data, stat) = session.get(znodes::CONTROLLER_EPOCH)?;
    let before: i32 = serde_json::from_slice(&data)?;
    let epoch = before + 1;
    let stat = session
        .set(
            znodes::CONTROLLER_EPOCH,
            epoch.to_string().into_bytes(),
            Some(stat.version),
        )
        .await?;
    Ok(Reign {
        epoch,
        version: stat.version,
    })
}

async fn ensure(session: &Session, path: &str, data: Vec<u8>) -> Result<(), WriteError> {
    if session.exists(path).is_some() {
        return Ok(());
    }
    match session.create(path, data, CreateMode::Persistent).await {
        Ok(_) | Err(CoordError::NodeExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
