//! Whole requests, header and body, as a listener reads them; what is read is written and read again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena_protocol::{AnyRequest, ApiKey, Reader, RequestHeader, encode_request};

fuzz_target!(|bytes: &[u8]| {
    let mut r = Reader::new(Bytes::copy_from_slice(bytes));
    let Ok(header) = RequestHeader::decode(&mut r) else {
        return;
    };
    let Ok(key) = ApiKey::try_from(header.api_key) else {
        return;
    };
    let Ok(request) = AnyRequest::decode(key, header.api_version, &mut r) else {
        return;
    };
    macro_rules! encode {
        ($($key:ident: $module:ident::{$request:ident, $response:ident};)*) => {
            match &request {
                $(AnyRequest::$key(request) => encode_request(&header, request),)*
            }
        };
    }
    let frame = milena_protocol::for_each_api!(encode);
    let mut r = Reader::new(frame.slice(4..));
    assert_eq!(RequestHeader::decode(&mut r), Ok(header.clone()));
    assert_eq!(
        AnyRequest::decode(key, header.api_version, &mut r),
        Ok(request)
    );
    assert_eq!(r.remaining(), 0);
});
