//! No request takes more memory than a small multiple of the bytes that it came in, whatever these say.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::jute::Reader;
use super::connect::ConnectRequest;
use super::{OpCode, Request};

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

// SAFETY: it forwards every call as it came to the system's allocator, which keeps the contract; the counters beside
// it are plain thread-local cells that never allocate.
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

/// An operation of a multi takes 17 bytes at least and some 120 in memory, and lies there twice while the list grows.
const TIMES: usize = 24;
const AHEAD: usize = 1024;

fn decode_as_everything(bytes: &Bytes) {
    let bounded = |what: &str, run: &dyn Fn()| {
        let before = LIVE.get();
        PEAK.set(before);
        run();
        let peak = (PEAK.get() - before) as usize;
        assert!(
            peak <= bytes.len() * TIMES + AHEAD,
            "{what}: {peak} bytes for {}",
            bytes.len()
        );
    };
    for op in (-11..110).filter_map(OpCode::of_number) {
        bounded(&format!("{op:?}"), &|| {
            drop(Request::decode(op, &mut Reader::new(bytes.clone())));
        });
    }
    bounded("connect", &|| {
        drop(ConnectRequest::decode(&mut Reader::new(bytes.clone())));
    });
}

/// Bytes that come far: small numbers, lengths that nearly fit, and types of operations.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        Just(vec![0xff; 4]),
        (0u32..40).prop_map(|n| n.to_be_bytes().to_vec()),
        any::<u32>().prop_map(|n| n.to_be_bytes().to_vec()),
        Just(vec![0x7f, 0xff, 0xff, 0xff]),
        Just(vec![0]),
        Just(b"\0\0\0\x02/a".to_vec()),
        Just(b"\0\0\0\x02\0\xff\xff\xff\xff\0\0\0\x02/a".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..9),
    ];
    proptest::collection::vec(number, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_takes_much_more_than_it_came_in(bytes in likely()) {
        decode_as_everything(&bytes.into());
    }
}

#[test]
fn long_requests_of_the_smallest_parts_take_a_multiple_of_themselves() {
    let deletes = b"\0\0\0\x02\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0".repeat(50_000);
    decode_as_everything(&deletes.into());
    let mut strings = vec![0; 8];
    strings.extend(200_000_u32.to_be_bytes());
    strings.resize(strings.len() + 800_000, 0);
    decode_as_everything(&strings.into());
    let mut claims = vec![0; 8];
    claims.extend(250_000_u32.to_be_bytes());
    claims.resize(claims.len() + 999_999, 0xff);
    decode_as_everything(&claims.into());
}
