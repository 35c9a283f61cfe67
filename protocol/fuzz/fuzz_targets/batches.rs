//! Record batches, as a broker checks them and a consumer reads them. The CRC is put right first,
//! so that what lies behind it is reached: what passes the check can be read, in full.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena_protocol::records::{
    BatchView, LENGTH, LOG_OVERHEAD, MAGIC, batches, check_batch, records, seal,
};

const LIMIT: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    for batch in batches(bytes).flatten() {
        let _ = check_batch(&batch, LIMIT);
    }
    let mut bytes = bytes.to_vec();
    let length = bytes.len().saturating_sub(LOG_OVERHEAD) as i32;
    let Some((head, body)) = bytes.split_first_chunk_mut() else {
        return;
    };
    head[LENGTH..LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    head[MAGIC] = 2;
    seal(head, body);
    let batch = BatchView::parse(&bytes).expect("its length and magic are right");
    let passed = check_batch(&batch, LIMIT).is_ok();
    let count = batch.record_count();
    // A header's key that is not UTF-8 passes the check, as in Kafka.
    if let Ok(records) = records(Bytes::from(bytes.clone()), LIMIT) {
        let read = records.filter(Result::is_ok).count();
        assert!(!passed || read <= count as usize);
    } else {
        assert!(!passed);
    }
});
