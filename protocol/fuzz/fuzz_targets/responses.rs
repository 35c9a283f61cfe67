//! Responses, as a client reads them: the first two bytes choose the API and the version.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena_protocol::{ApiKey, Message, Reader, ResponseHeader, api::*};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[key, version], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let key = ApiKey::ALL[usize::from(key) % ApiKey::ALL.len()];
    let (min, max) = key.versions().into_inner();
    let version = min + i16::from(version) % (max - min + 1);
    let mut r = Reader::new(Bytes::copy_from_slice(bytes));
    if ResponseHeader::decode(&mut r, key, version).is_err() {
        return;
    }
    macro_rules! decode {
        ($($key:ident: $module:ident::{$request:ident, $response:ident};)*) => {
            match key {
                $(ApiKey::$key => drop($response::decode(&mut r, version)),)*
            }
        };
    }
    milena_protocol::for_each_api!(decode);
});
