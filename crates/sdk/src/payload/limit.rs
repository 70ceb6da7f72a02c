//! The size a field of payloads may have.

use prost::Message;

use super::{Error, Payload};

/// What servers accept for one field of payloads by default: 2 MiB.
///
/// One field is, for example, all arguments of an activity together.
pub const PAYLOAD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Refuses what the server would refuse, in words that help.
pub(super) fn check(payloads: &[Payload], bytes_max: usize) -> Result<(), Error> {
    let bytes = payloads.iter().map(field_bytes).sum();
    if bytes > bytes_max {
        return Err(Error::TooLarge { count: payloads.len(), bytes, limit: bytes_max });
    }
    Ok(())
}

/// A payload's share of the message `Payloads`, which is what the server measures.
fn field_bytes(payload: &Payload) -> usize {
    let bytes = payload.encoded_len();
    1 + prost::length_delimiter_len(bytes) + bytes
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::temporal::api::common::v1::Payloads;

    use super::*;

    fn of(bytes: usize) -> Payload {
        Payload { data: vec![7; bytes], ..Payload::default() }
    }

    #[test]
    fn counts_as_the_message_on_the_wire() {
        for sizes in [vec![], vec![0], vec![1, 127, 128], vec![300, 70_000]] {
            let payloads: Vec<_> = sizes.into_iter().map(of).collect();
            let ours: usize = payloads.iter().map(field_bytes).sum();
            assert_eq!(ours, Payloads { payloads }.encoded_len());
        }
    }

    #[test]
    fn refuses_one_byte_too_many_and_says_what_to_do() {
        let fits = of(100);
        let bytes_max = field_bytes(&fits);
        check(std::slice::from_ref(&fits), bytes_max).unwrap();

        let refused = check(&[fits], bytes_max - 1).unwrap_err().to_string();
        assert!(refused.contains(&format!("{bytes_max} bytes exceed the limit of {}", bytes_max - 1)), "{refused}");
        assert!(refused.contains("Converter::offload"), "{refused}");
    }

    #[test]
    fn arguments_count_together() {
        assert!(check(&[of(600), of(600)], 1000).is_err());
        assert!(check(&[of(600)], 1000).is_ok());
    }
}
