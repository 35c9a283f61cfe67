//! Which topics a consumer's metadata subscribes to: the head of the client's own
//! `ConsumerProtocolSubscription`, the one thing in members' metadata that a coordinator looks
//! into.

use std::collections::BTreeSet;

/// The topics in one member's metadata, or `None` where it does not read as a subscription.
pub(super) fn topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    // A version, which all begin alike, then the array of names.
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = i32::from_be_bytes(*count);
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        let (name, tail) = tail.split_at_checked(len)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        rest = tail;
    }
    (count >= 0).then_some(topics)
}

#[cfg(test)]
mod tests {
    use super::topics;

    #[test]
    fn a_subscription_is_read_and_nonsense_is_not() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        assert_eq!(
            topics(metadata).unwrap().into_iter().collect::<Vec<_>>(),
            ["a", "bc"]
        );
        assert_eq!(topics(b"\0\0\0\0\0\0").unwrap().len(), 0);
        for bad in [
            &b""[..],
            b"\0",
            b"\0\0\xff\xff\xff\xff",
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\0\0\0\x01\xff\xff",
        ] {
            assert_eq!(topics(bad), None, "{bad:?}");
        }
    }
}
