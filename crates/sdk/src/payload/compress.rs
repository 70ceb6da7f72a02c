//! Compression with zlib, as the codec of the official Go SDK writes it.
//!
//! payload    encoding: binary/zlib · data: zlib(protobuf(inner payload))
//!
//! Invariants
//! - What does not get smaller is left as it is.
//! - A payload never unfolds to more than `inflated_bytes_max`.

use std::io::{Read, Write};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use futures_util::future::BoxFuture;
use prost::Message;
use temporalio_common::data_converters::{PayloadCodec, PayloadConversionError, SerializationContextData};

use super::{ENCODING, Error, Payload, codec::each, encoding};

const ZLIB: &str = "binary/zlib";

/// Compresses payloads with zlib.
///
/// # Examples
///
/// ```
/// use tradewind::payload::{Converter, Zlib};
///
/// let converter = Converter::new().compress(Zlib::default().level(9));
/// ```
#[derive(Debug, Clone)]
pub struct Zlib {
    level: u32,
    inflated_bytes_max: usize,
}

impl Default for Zlib {
    /// Level 6, and at most 256 MiB after decompression.
    fn default() -> Self {
        Self { level: 6, inflated_bytes_max: 256 * 1024 * 1024 }
    }
}

impl Zlib {
    /// How hard to try, from 1 (fast) to 9 (small). Other values are taken as the nearest of these.
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// Refuses payloads that would take more memory than this once decompressed.
    pub fn inflated_bytes_max(mut self, bytes: usize) -> Self {
        self.inflated_bytes_max = bytes;
        self
    }

    fn deflate(&self, payload: Payload) -> Payload {
        let plain = payload.encode_to_vec();
        let mut encoder = ZlibEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(self.level));
        let deflated =
            encoder.write_all(&plain).and_then(|()| encoder.finish()).expect("writing to memory does not fail");
        let packed = Payload {
            metadata: [(ENCODING.to_owned(), ZLIB.into())].into(),
            data: deflated,
            external_payloads: Vec::new(),
        };
        if packed.encoded_len() < plain.len() { packed } else { payload }
    }

    fn inflate(&self, payload: Payload) -> Result<Payload, Error> {
        if encoding(&payload) != Some(ZLIB.as_bytes()) {
            return Ok(payload);
        }
        let malformed = |reason: String| Error::Malformed { encoding: ZLIB, reason };
        let mut plain = Vec::with_capacity(payload.data.len() * 2);
        ZlibDecoder::new(payload.data.as_slice())
            .take(self.inflated_bytes_max as u64 + 1)
            .read_to_end(&mut plain)
            .map_err(|error| malformed(error.to_string()))?;
        if plain.len() > self.inflated_bytes_max {
            return Err(malformed(format!(
                "it unfolds to more than {} bytes (Zlib::inflated_bytes_max)",
                self.inflated_bytes_max
            )));
        }
        Payload::decode(plain.as_slice()).map_err(|error| malformed(error.to_string()))
    }
}

impl PayloadCodec for Zlib {
    fn encode(
        &self,
        _: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let zlib = self.clone();
        each(payloads, move |payload| Ok(zlib.deflate(payload)))
    }

    fn decode(
        &self,
        _: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let zlib = self.clone();
        each(payloads, move |payload| zlib.inflate(payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data: impl Into<Vec<u8>>) -> Payload {
        Payload {
            metadata: [(ENCODING.to_owned(), b"json/plain".to_vec())].into(),
            data: data.into(),
            external_payloads: Vec::new(),
        }
    }

    #[test]
    fn repetition_gets_smaller_and_comes_back() {
        let plain = text("tradewind ".repeat(1000));
        let packed = Zlib::default().deflate(plain.clone());
        assert_eq!(encoding(&packed), Some(ZLIB.as_bytes()));
        assert!(packed.data.len() < plain.data.len() / 10);
        assert_eq!(Zlib::default().inflate(packed).unwrap(), plain);
    }

    #[test]
    fn what_would_grow_is_left_alone() {
        let plain = text("1");
        assert_eq!(Zlib::default().deflate(plain.clone()), plain);
    }

    #[test]
    fn a_bomb_is_refused() {
        let packed = Zlib::default().deflate(text(vec![0; 1_000_000]));
        let refused = Zlib::default().inflated_bytes_max(1000).inflate(packed).unwrap_err();
        assert!(refused.to_string().contains("more than 1000 bytes"), "{refused}");
    }

    #[test]
    fn a_cut_payload_is_malformed() {
        let mut packed = Zlib::default().deflate(text("tradewind ".repeat(1000)));
        packed.data.truncate(20);
        let refused = Zlib::default().inflate(packed).unwrap_err();
        assert!(matches!(refused, Error::Malformed { encoding: ZLIB, .. }), "{refused}");
    }
}
