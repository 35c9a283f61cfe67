//! A broker's entry into the cluster: the scaffold of znodes, the cluster's id, its own
//! ephemeral znode, and, as it is the only broker, the controller's office.

use coord::{CoordError, CreateMode, Op, Session};

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

/// Makes what has to be there, as one change; gives the cluster's id.
pub(crate) async fn scaffold(session: &Session) -> Result<String, WriteError> {
    let fresh = ClusterNode {
        version: "1".into(),
        id: znodes::base64_id::encode(&uuid::Uuid::new_v4()),
    };
    loop {
        let plain = znodes::SCAFFOLD.iter().map(|&path| (path, Vec::new()));
        let filled = [
            (znodes::CONTROLLER_EPOCH, b"0".to_vec()),
            (znodes::CLUSTER_ID, json(&fresh)),
        ];
        let missing: Vec<Op> = plain
            .chain(filled)
            .filter(|(path, _)| session.exists(path).is_none())
            .map(|(path, data)| Op::create(path, data, CreateMode::Persistent))
            .collect();
        if missing.is_empty() {
            break;
        }
        match session.multi(missing).await.map_err(|multi| multi.error) {
            // Somebody else made some of it meanwhile: look again.
            Ok(_) | Err(CoordError::NodeExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
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
    let controller = ControllerNode {
        version: 1,
        brokerid: registration.id,
        timestamp,
    };
    let (data, stat) = session.get(znodes::CONTROLLER_EPOCH)?;
    let before: i32 = serde_json::from_slice(&data)?;
    let epoch = before + 1;
    let ops = vec![
        Op::create(
            znodes::broker(registration.id),
            json(&node),
            CreateMode::Ephemeral,
        ),
        Op::create(znodes::CONTROLLER, json(&controller), CreateMode::Ephemeral),
        Op::set(
            znodes::CONTROLLER_EPOCH,
            epoch.to_string().into_bytes(),
            Some(stat.version),
        ),
    ];
    session.multi(ops).await?;
    let version = stat.version + 1;
    Ok(Reign { epoch, version })
}
