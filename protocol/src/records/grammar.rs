//! How a record is laid out, for the check and the iterator alike.

use super::BatchError;

/// Where records are read from.
pub(super) trait Source {
    /// Some of its bytes.
    type Slice;

    /// Reads a varint of at most 64 bits.
    fn varint(&mut self) -> Result<i64, BatchError>;

    /// Takes the next `len` bytes.
    fn take(&mut self, len: usize) -> Result<Self::Slice, BatchError>;

    /// How many bytes have been taken since the start.
    fn position(&self) -> usize;
}

/// One record, with its offset and timestamp relative to the batch's.
pub(super) struct RawRecord<S> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<S>,
    pub value: Option<S>,
}

const LENGTHS_LIE: BatchError = BatchError::Invalid("a record's lengths contradict each other");

/// Reads one record and hands its headers, in their order, to `header`.
#[inline]
pub(super) fn record<S: Source>(
    source: &mut S,
    mut header: impl FnMut(S::Slice, Option<S::Slice>) -> Result<(), BatchError>,
) -> Result<RawRecord<S::Slice>, BatchError> {
    let len = int32(source)?;
    let len = usize::try_from(len).map_err(|_| LENGTHS_LIE)?;
    let end = source.position() + len;

    let field = |source: &mut S| -> Result<Option<S::Slice>, BatchError> {
        let len = int32(source)?;
        let Ok(len) = usize::try_from(len) else {
            return Ok(None);
        };
        if len > end.saturating_sub(source.position()) {
            return Err(LENGTHS_LIE);
        }
        source.take(len).map(Some)
    };

    // The attributes: no bit of them means anything yet.
    source.take(1)?;
    let timestamp_delta = source.varint()?;
    let offset_delta = int32(source)?;
    let key = field(source)?;
    let value = field(source)?;
    let headers = int32(source)?;
    if headers < 0 {
        return Err(BatchError::Invalid("a record has less than no headers"));
    }
    for _ in 0..headers {
        let key = field(source)?.ok_or(BatchError::Invalid("a record's header has no key"))?;
        let value = field(source)?;
        header(key, value)?;
    }
    if source.position() != end {
        return Err(LENGTHS_LIE);
    }
    Ok(RawRecord {
        timestamp_delta,
        offset_delta,
        key,
        value,
    })
}

#[inline]
fn int32(source: &mut impl Source) -> Result<i32, BatchError> {
    i32::try_from(source.varint()?)
        .map_err(|_| BatchError::Invalid("a record's number needs more than 32 bits"))
}
