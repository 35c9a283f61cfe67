//! A change of the ensemble's membership.

use super::super::jute::{JuteError, Reader};

/// Who joins, who leaves, or who all the members are; members as in `server.N=` lines, with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReconfigRequest {
    pub(crate) joining: Option<String>,
    pub(crate) leaving: Option<String>,
    pub(crate) members: Option<String>,
    /// The version of the configuration that this is to replace, or -1.
    pub(crate) version: i64,
}

impl ReconfigRequest {
    pub(crate) fn decode(reader: &mut Reader) -> Result<ReconfigRequest, JuteError> {
        Ok(ReconfigRequest {
            joining: reader.nullable_string()?,
            leaving: reader.nullable_string()?,
            members: reader.nullable_string()?,
            version: reader.long()?,
        })
    }
}
