//! The data converter: all stages put together.

use std::sync::Arc;

use temporalio_common::data_converters::{DataConverter, DefaultFailureConverter, PayloadConverter};

use super::{Codec, Encryption, Keyring, Offload, PAYLOAD_BYTES_MAX, Zlib, codec::Pipeline};

/// How values become payloads: the data converter of a client and its workers.
///
/// Without further ado: JSON for every serde type, `binary/plain` for `Vec<u8>`, `binary/null` for nothing, protobuf
/// for [`Proto`](super::Proto), and a refusal above 2 MiB. All stages that are switched on run in the order of the
/// [module's header](super), whatever the order of the calls.
///
/// Clients and workers need the same converter, or one that reads what the other writes.
///
/// # Examples
///
/// ```
/// use tradewind::payload::{Converter, Key, Keyring, Offload, Store, Zlib};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("payloads");
/// let keys = Keyring::new("2026", Key::new(&[7; 32])?);
/// let converter = Converter::new()
///     .compress(Zlib::default())
///     .encrypt(keys)
///     .offload(Offload::to(Store::directory(path)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Converter {
    conversion: PayloadConverter,
    codecs: Vec<Arc<dyn Codec + Send + Sync>>,
    compression: Option<Zlib>,
    encryption: Option<Encryption>,
    offload: Option<Offload>,
    bytes_max: Option<usize>,
    /// A whole one from elsewhere, instead of all the above.
    whole: Option<DataConverter>,
}

impl Default for Converter {
    fn default() -> Self {
        Self::new()
    }
}

impl Converter {
    /// Conversion and the limit, nothing else.
    pub fn new() -> Self {
        Self {
            conversion: PayloadConverter::default(),
            codecs: Vec::new(),
            compression: None,
            encryption: None,
            offload: None,
            bytes_max: Some(PAYLOAD_BYTES_MAX),
            whole: None,
        }
    }

    /// Replaces the conversion of values, for other formats than JSON.
    pub fn conversion(mut self, conversion: PayloadConverter) -> Self {
        self.conversion = conversion;
        self
    }

    /// Adds a codec of your own. Those run before compression, in the order in which they were added.
    pub fn codec(mut self, codec: impl Codec + Send + Sync + 'static) -> Self {
        self.codecs.push(Arc::new(codec));
        self
    }

    /// Compresses payloads that become smaller by it.
    pub fn compress(mut self, zlib: Zlib) -> Self {
        self.compression = Some(zlib);
        self
    }

    /// Encrypts all payloads with the keyring's current key.
    pub fn encrypt(mut self, keys: Keyring) -> Self {
        self.encryption = Some(Encryption::new(keys));
        self
    }

    /// Sends large payloads to external storage.
    pub fn offload(mut self, offload: Offload) -> Self {
        self.offload = Some(offload);
        self
    }

    /// What the server accepts for one field of payloads, if it is not [`PAYLOAD_BYTES_MAX`]. With `None` the server
    /// alone decides, and what it refuses may be retried for long.
    pub fn bytes_max(mut self, bytes: Option<usize>) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// The converter in the form that the official crates take.
    pub fn build(self) -> DataConverter {
        self.into_parts().0
    }

    /// The converter, and its stages after conversion if they are ours.
    pub(crate) fn into_parts(self) -> (DataConverter, Option<Pipeline>) {
        if let Some(whole) = self.whole {
            return (whole, None);
        }
        let mut codecs = self.codecs;
        codecs.extend(self.compression.map(|zlib| Arc::new(zlib) as _));
        codecs.extend(self.encryption.map(|encryption| Arc::new(encryption) as _));
        let pipeline = Pipeline { codecs, offload: self.offload, bytes_max: self.bytes_max };
        let converter = DataConverter::new(self.conversion, DefaultFailureConverter::default(), pipeline.clone());
        (converter, Some(pipeline))
    }
}

/// For converters that were put together elsewhere. All they do is theirs: nothing here is switched on.
impl From<DataConverter> for Converter {
    fn from(whole: DataConverter) -> Self {
        Self { whole: Some(whole), ..Self::new() }
    }
}

impl From<Converter> for DataConverter {
    fn from(converter: Converter) -> Self {
        converter.build()
    }
}

impl std::fmt::Debug for Converter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Converter")
            .field("conversion", &self.conversion)
            .field("codecs", &self.codecs.len())
            .field("compression", &self.compression)
            .field("encryption", &self.encryption)
            .field("offload", &self.offload)
            .field("bytes_max", &self.bytes_max)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use temporalio_common::data_converters::{
        PayloadConversionError, SerializationContextData, TemporalDeserializable, TemporalSerializable,
    };

    use super::*;
    use crate::payload::{Key, Payload, Store, encoding};

    const CONTEXT: SerializationContextData = SerializationContextData::None;

    async fn write<T: TemporalSerializable + 'static>(converter: &DataConverter, value: T) -> Payload {
        converter.to_payload(&CONTEXT, &value).await.unwrap()
    }

    async fn read<T: TemporalDeserializable + 'static>(
        converter: &DataConverter,
        payload: Payload,
    ) -> Result<T, PayloadConversionError> {
        converter.from_payload(&CONTEXT, payload).await
    }

    fn keys() -> Keyring {
        Keyring::new("k", Key::new(&[1; 32]).unwrap())
    }

    #[tokio::test]
    async fn plain_values_look_as_official_sdks_write_them() {
        let converter = Converter::new().build();
        let json = write(&converter, vec!["a", "b"]).await;
        assert_eq!((encoding(&json), json.data.as_slice()), (Some(&b"json/plain"[..]), &br#"["a","b"]"#[..]));
        let bytes = write(&converter, vec![0_u8, 255]).await;
        assert_eq!((encoding(&bytes), bytes.data.as_slice()), (Some(&b"binary/plain"[..]), &[0, 255][..]));
        let nothing = write(&converter, None::<String>).await;
        assert_eq!((encoding(&nothing), nothing.data.as_slice()), (Some(&b"binary/null"[..]), &[][..]));
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_with_the_figures() {
        let converter = Converter::new().build();
        let refused = converter.to_payload(&CONTEXT, &vec![0_u8; PAYLOAD_BYTES_MAX]).await.unwrap_err().to_string();
        assert!(refused.contains("bytes exceed the limit of 2097152 bytes"), "{refused}");
        assert!(refused.contains("Converter::offload"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_too_large_fits_compressed_or_offloaded() {
        let large = vec![7_u8; 3 * PAYLOAD_BYTES_MAX];
        let compressing = Converter::new().compress(Zlib::default()).build();
        let payload = write(&compressing, large.clone()).await;
        assert_eq!(read::<Vec<u8>>(&compressing, payload).await.unwrap(), large);

        let directory = tempfile::tempdir().unwrap();
        let offloading = Converter::new().offload(Offload::to(Store::directory(directory.path()).unwrap())).build();
        let payload = write(&offloading, large.clone()).await;
        assert_eq!(read::<Vec<u8>>(&offloading, payload).await.unwrap(), large);
    }

    #[tokio::test]
    async fn compresses_before_it_encrypts_and_offloads_what_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::directory(directory.path()).unwrap();
        // In an order that is not that of the stages.
        let converter = Converter::new()
            .offload(Offload::to(store).threshold_bytes(0))
            .encrypt(keys())
            .compress(Zlib::default())
            .build();
        let value = "tradewind ".repeat(10_000);
        let reference = write(&converter, value.clone()).await;
        assert_eq!(encoding(&reference), Some(&b"json/protobuf"[..]));
        assert!(reference.external_payloads[0].size_bytes < 2000, "compressed, then encrypted, then stored");
        assert_eq!(read::<String>(&converter, reference).await.unwrap(), value);
    }

    #[tokio::test]
    async fn what_was_written_before_a_stage_stays_readable() {
        let plain = write(&Converter::new().build(), "before".to_owned()).await;
        let now = Converter::new().compress(Zlib::default()).encrypt(keys()).build();
        assert_eq!(read::<String>(&now, plain).await.unwrap(), "before");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn every_combination_of_stages_brings_values_back(
            text in ".{0,400}",
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
            (compress, encrypt, offload) in any::<(bool, bool, bool)>(),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut converter = Converter::new();
            if compress {
                converter = converter.compress(Zlib::default());
            }
            if encrypt {
                converter = converter.encrypt(keys());
            }
            if offload {
                let store = Store::directory(directory.path()).unwrap();
                converter = converter.offload(Offload::to(store).threshold_bytes(500));
            }
            let converter = converter.build();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let payload = write(&converter, text.clone()).await;
                prop_assert_eq!(&read::<String>(&converter, payload).await.unwrap(), &text);
                let payload = write(&converter, bytes.clone()).await;
                prop_assert_eq!(&read::<Vec<u8>>(&converter, payload).await.unwrap(), &bytes);
                Ok(())
            })?;
        }
    }
}
