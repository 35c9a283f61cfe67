//! No decoder takes more memory than a small multiple of the bytes that it was handed, whatever
//! these say.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use proptest::prelude::*;

use crate::{
    AnyRequest, ApiKey, RequestHeader, api, encode_response, internal,
    records::{BatchBuilder, BatchIdentity, BatchView, Compression, check_batch, records},
    wire::{Context, Field, Gen, Message, Reader, Writer},
};

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Counts what each thread holds, and the most that it held.
struct Counting;

fn count(change: isize) {
    LIVE.set(LIVE.get() + change);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

// SAFETY: it forwards every call as it came to the system's allocator, which keeps the contract;
// the counters beside it are plain thread-local cells that never allocate.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise about the pointer and its layout is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `run` held at once, beyond what there was before.
fn peak<T>(run: impl FnOnce() -> T) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    let result = run();
    let peak = PEAK.get() - before;
    drop(result);
    peak as usize
}

/// A byte can stand for an empty string, which takes 32 in memory; a growing array lies in memory
/// twice while it moves. What is reserved ahead comes on top, for each array inside another.
const TIMES: usize = 64;
const AHEAD: usize = 32 * 1024;

fn bounded(n: usize, what: &str, run: impl FnOnce()) {
    let peak = peak(run);
    assert!(peak <= n * TIMES + AHEAD, "{what}: {peak} bytes for {n}");
}

/// Runs every decoder on `bytes`.
fn decode_as_everything(bytes: &Bytes) {
    fn run<M: Message>(bytes: &Bytes, version: i16) {
        bounded(bytes.len(), std::any::type_name::<M>(), || {
            drop(M::decode(&mut Reader::new(bytes.clone()), version));
        });
    }
    macro_rules! run_all {
        ($($key:ident: $module:ident::{$request:ident, $response:ident};)*) => {
            $(for version in ApiKey::$key.versions() {
                bounded(bytes.len(), ApiKey::$key.name(), || {
                    let mut r = Reader::new(bytes.clone());
                    drop(AnyRequest::decode(ApiKey::$key, version, &mut r));
                });
                run::<api::$response>(bytes, version);
            })*
        };
    }
    crate::for_each_api!(run_all);
    for version in 0..=4 {
        run::<internal::OffsetCommitValue>(bytes, version);
        run::<internal::GroupMetadataValue>(bytes, version);
        run::<internal::ConsumerProtocolSubscription>(bytes, version.min(3));
        run::<internal::ConsumerProtocolAssignment>(bytes, version.min(3));
    }
    bounded(bytes.len(), "CoordinatorKey", || {
        drop(internal::CoordinatorKey::from_bytes(bytes.clone()));
    });
    bounded(bytes.len(), "RequestHeader", || {
        drop(RequestHeader::decode(&mut Reader::new(bytes.clone())));
    });
}

/// Lengths that lie, in each of the forms that a length has.
const LIES: [&[u8]; 5] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff],
    &[0x00, 0x00, 0x00, 0x40],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        decode_as_everything(&bytes.into());
    }

    /// Where every length is small and fits, arrays nest as deep as they can.
    #[test]
    fn small_bytes(bytes in prop::collection::vec(0..12_u8, 0..4000)) {
        decode_as_everything(&bytes.into());
    }

    #[test]
    fn the_same_byte_throughout(byte: u8, len in 0..20_000_usize) {
        decode_as_everything(&vec![byte; len].into());
    }

    #[test]
    fn valid_messages_with_a_lie_in_them(seed: u64, key in prop::sample::select(ApiKey::ALL), at: prop::sample::Index) {
        let mut g = Gen::new(seed);
        for version in key.versions() {
            let cx = Context::new(version, key.flexible_from());
            let mut bytes = arbitrary_request(key, &mut g, cx);
            let lie = LIES[g.below(5) as usize];
            let at = at.index(bytes.len() + 1);
            let end = (at + lie.len()).min(bytes.len());
            bytes.splice(at..end, lie.iter().copied());
            bounded(bytes.len(), key.name(), || {
                let mut r = Reader::new(bytes.into());
                drop(AnyRequest::decode(key, version, &mut r));
            });
        }
    }

    #[test]
    fn compressed_batches_cost_a_buffer(
        compression in prop::sample::select(&Compression::ALL[1..]),
        len in 0..2_000_000_usize,
        byte: u8,
        cut: prop::sample::Index,
    ) {
        let mut builder = BatchBuilder::new(compression);
        builder.push(0, None, Some(&vec![byte; len]), &[]);
        let batch = builder.build(&BatchIdentity::default());
        let view = BatchView::parse(&batch).unwrap();
        let limit = 1 << 20;
        // A block of lz4 at most, whatever the batch holds; and gzip's window with its tables.
        let cost = peak(|| check_batch(&view, limit));
        prop_assert!(cost <= (batch.len() * 255).min(4 << 20) + 256 * 1024, "{cost}");
        // What comes out, twice while it grows, and the same buffer.
        let cost = peak(|| records(batch.clone(), limit));
        prop_assert!(cost <= 3 * limit + (256 << 10), "{cost}");
        // What is cut off or changed costs no more.
        let mut broken = batch.to_vec();
        let at = cut.index(broken.len());
        broken[at] ^= 0x55;
        let cost = peak(|| records(broken.into(), limit).map(|_| ()));
        prop_assert!(cost <= 3 * limit + (4 << 20) + (256 << 10), "{cost}");
    }
}

fn arbitrary_request(key: ApiKey, g: &mut Gen, cx: Context) -> Vec<u8> {
    fn encoded<M: Message + Field>(g: &mut Gen, cx: Context) -> Vec<u8> {
        let mut w = Writer::default();
        M::encode(&M::arbitrary(g, cx), &mut w, cx.version);
        w.into_bytes().into()
    }
    macro_rules! of_key {
        ($($key:ident: $module:ident::{$request:ident, $response:ident};)*) => {
            match key {
                $(ApiKey::$key => encoded::<api::$request>(g, cx),)*
            }
        };
    }
    crate::for_each_api!(of_key)
}

#[test]
fn an_array_of_two_billion_in_five_bytes_is_refused_for_nothing() {
    for (version, bytes) in [
        (1, &[0x7f, 0xff, 0xff, 0xff][..]),
        (9, &[0xff, 0xff, 0xff, 0xff, 0x07]),
    ] {
        let cost = peak(|| {
            let mut r = Reader::new(Bytes::from_static(bytes));
            assert!(AnyRequest::decode(ApiKey::Metadata, version, &mut r).is_err());
        });
        assert_eq!(cost, 0);
    }
}

#[test]
fn an_uncompressed_batch_is_checked_without_allocating() {
    let mut builder = BatchBuilder::new(Compression::None);
    for i in 0..1000 {
        builder.push(i, Some(b"key"), Some(&[7; 100]), &[]);
    }
    let batch = builder.build(&BatchIdentity::default());
    let view = BatchView::parse(&batch).unwrap();
    let cost = peak(|| check_batch(&view, 0).unwrap());
    assert_eq!(cost, 0);
}

#[test]
fn records_that_lie_elsewhere_are_left_out_of_the_frame() {
    use api::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};

    use crate::Records;

    let partition = |records| PartitionData {
        records: Some(records),
        ..PartitionData::default()
    };
    let response = |records: [Records; 2]| FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: "t".into(),
            partitions: records.map(partition).into(),
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    };
    let body = Bytes::from(vec![9; 300]);
    for version in ApiKey::Fetch.versions() {
        let here = response([Records::Bytes(body.clone()), Records::Bytes(body.clone())]);
        let whole = encode_response(5, &here, ApiKey::Fetch, version);
        assert!(whole.pieces.is_empty());

        let elsewhere = response([1, 2].map(|token| Records::Elsewhere { len: 300, token }));
        let frame = encode_response(5, &elsewhere, ApiKey::Fetch, version);
        assert_eq!(frame.size(), whole.size());
        let mut joined = Vec::new();
        let mut at = 0;
        for (token, piece) in (1..).zip(&frame.pieces) {
            assert_eq!((piece.token, piece.len), (token, 300));
            joined.extend_from_slice(&frame.bytes[at..piece.at]);
            joined.extend_from_slice(&body);
            at = piece.at;
        }
        joined.extend_from_slice(&frame.bytes[at..]);
        assert_eq!(joined, whole.bytes);
    }
}
