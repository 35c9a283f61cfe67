//! InitProducerId: a number for an idempotent producer.

use protocol::ErrorCode;
use protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::Context;

pub(super) async fn handle(
    context: &Context<'_>,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let failed = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    if request.transactional_id.is_some() {
        return failed(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    match context.broker.producer_ids.next().await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => {
            tracing::warn!("no producer id could be given: {error}");
            failed(ErrorCode::CoordinatorLoadInProgress)
        }
    }
}
