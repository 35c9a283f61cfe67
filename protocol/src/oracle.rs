//! Our codecs against the `kafka-protocol` crate: whatever one writes, the other reads, and
//! writes again as the same bytes.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages as theirs,
    protocol::{Decodable, Encodable, Message as TheirMessage},
};
use proptest::prelude::*;

use crate::{
    ApiKey, api,
    frame::{RequestHeader, ResponseHeader},
    internal,
    wire::{Context, Field, Gen, Message, Reader, Writer},
};

fn encode(message: &impl Message, version: i16) -> Bytes {
    let mut w = Writer::default();
    message.encode(&mut w, version);
    w.into_bytes()
}

fn decode<M: Message>(bytes: &Bytes, version: i16) -> M {
    let mut r = Reader::new(bytes.clone());
    let message = M::decode(&mut r, version).expect("bytes that we or the oracle wrote");
    assert_eq!(r.remaining(), 0, "version {version} left bytes");
    message
}

/// A value of every version comes back equal from our own bytes.
fn comes_back<M: Message + Field + PartialEq + Debug>(
    seed: u64,
    version: i16,
    flexible: i16,
) -> Bytes {
    let cx = Context::new(version, flexible);
    let value = M::arbitrary(&mut Gen::new(seed), cx);
    let bytes = encode(&value, version);
    assert_eq!(decode::<M>(&bytes, version), value, "version {version}");
    bytes
}

fn agrees<M, T>(seed: u64, version: i16, flexible: i16)
where
    M: Message + Field + PartialEq + Debug,
    T: TheirMessage + Encodable + Decodable + Debug,
{
    let bytes = comes_back::<M>(seed, version, flexible);
    if version < T::VERSIONS.min || version > T::VERSIONS.max {
        return;
    }
    let value = T::decode(&mut bytes.clone(), version)
        .unwrap_or_else(|e| panic!("version {version}: {e}: {bytes:?}"));
    let mut again = BytesMut::new();
    value
        .encode(&mut again, version)
        .unwrap_or_else(|e| panic!("version {version}: {e}: {value:?}"));
    assert_eq!(bytes, again.freeze(), "version {version}: {value:?}");
}

macro_rules! tests {
    ($($key:ident: $module:ident::{$request:ident, $response:ident};)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(200))]
            $(
                #[test]
                fn $module(seed: u64) {
                    let flexible = ApiKey::$key.flexible_from();
                    for version in ApiKey::$key.versions() {
                        agrees::<api::$request, theirs::$request>(seed, version, flexible);
                        agrees::<api::$response, theirs::$response>(seed, version, flexible);
                    }
                }
            )*
        }
    };
}

crate::for_each_api!(tests);

proptest! {
    #[test]
    fn consumer_protocol(seed: u64) {
        for version in 0..=3 {
            agrees::<internal::ConsumerProtocolSubscription, theirs::ConsumerProtocolSubscription>(
                seed, version, i16::MAX,
            );
            agrees::<internal::ConsumerProtocolAssignment, theirs::ConsumerProtocolAssignment>(
                seed, version, i16::MAX,
            );
        }
    }

    /// The oracle does not know the schemas of `__consumer_offsets`.
    #[test]
    fn stored_values_come_back(seed: u64) {
        for version in 0..=4 {
            comes_back::<internal::OffsetCommitValue>(seed, version, 4);
            comes_back::<internal::GroupMetadataValue>(seed, version, 4);
        }
    }

    #[test]
    fn headers(seed: u64) {
        let mut g = Gen::new(seed);
        for &key in ApiKey::ALL {
            let their_key = theirs::ApiKey::try_from(key as i16).unwrap();
            for version in key.versions() {
                let of_request = their_key.request_header_version(version);
                prop_assert_eq!(key.request_header_version(version), of_request);
                let of_response = their_key.response_header_version(version);
                prop_assert_eq!(key.response_header_version(version), of_response);

                let header = RequestHeader {
                    api_key: key as i16,
                    api_version: version,
                    correlation_id: g.i32(),
                    client_id: Field::arbitrary(&mut g, Context::new(version, 0)),
                };
                let mut w = Writer::default();
                header.encode(&mut w);
                let bytes = w.into_bytes();
                let value = theirs::RequestHeader::decode(&mut bytes.clone(), of_request).unwrap();
                let mut again = BytesMut::new();
                value.encode(&mut again, of_request).unwrap();
                prop_assert_eq!(&bytes, &again);
                prop_assert_eq!(RequestHeader::decode(&mut Reader::new(bytes)).unwrap(), header);

                let correlation_id = g.i32();
                let mut bytes = BytesMut::new();
                theirs::ResponseHeader::default()
                    .with_correlation_id(correlation_id)
                    .encode(&mut bytes, of_response)
                    .unwrap();
                let mut r = Reader::new(bytes.freeze());
                let header = ResponseHeader::decode(&mut r, key, version).unwrap();
                prop_assert_eq!((header.correlation_id, r.remaining()), (correlation_id, 0));
            }
        }
    }
}
