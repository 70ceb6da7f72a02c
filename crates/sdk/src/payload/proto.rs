//! Protobuf messages as values.

use prost::{Message, Name};
use serde::{Serialize, de::DeserializeOwned};
use temporalio_common::data_converters::{
    PayloadConversionError, SerializationContext, TemporalDeserializable, TemporalSerializable,
};

use super::{ENCODING, Error, Payload, encoding};

const BINARY: &str = "binary/protobuf";
const JSON: &str = "json/protobuf";
const MESSAGE_TYPE: &str = "messageType";

/// A protobuf message in its binary form: `binary/protobuf`.
///
/// The message needs a name (`prost_build::Config::enable_type_names`), because languages without static types find
/// the type by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proto<T>(pub T);

/// A protobuf message in its JSON form, `json/protobuf`, which is what the official SDKs write. Reads both forms.
///
/// The message's serde implementation must be the JSON form of protobuf, such as `pbjson` generates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProtoJson<T>(pub T);

impl<T: Message + Name + 'static> TemporalSerializable for Proto<T> {
    fn to_payload(&self, _: &SerializationContext<'_>) -> Result<Payload, PayloadConversionError> {
        Ok(named::<T>(BINARY, self.0.encode_to_vec()))
    }
}

impl<T: Message + Name + Default + 'static> TemporalDeserializable for Proto<T> {
    fn from_payload(_: &SerializationContext<'_>, payload: Payload) -> Result<Self, PayloadConversionError> {
        if encoding(&payload) != Some(BINARY.as_bytes()) {
            return Err(PayloadConversionError::WrongEncoding);
        }
        decode(&payload).map(Self)
    }
}

impl<T: Name + Serialize + 'static> TemporalSerializable for ProtoJson<T> {
    fn to_payload(&self, _: &SerializationContext<'_>) -> Result<Payload, PayloadConversionError> {
        let data =
            serde_json::to_vec(&self.0).map_err(|error| PayloadConversionError::EncodingError(Box::new(error)))?;
        Ok(named::<T>(JSON, data))
    }
}

impl<T: Message + Name + Default + DeserializeOwned + 'static> TemporalDeserializable for ProtoJson<T> {
    fn from_payload(_: &SerializationContext<'_>, payload: Payload) -> Result<Self, PayloadConversionError> {
        match encoding(&payload) {
            Some(encoding) if encoding == BINARY.as_bytes() => decode(&payload).map(Self),
            Some(encoding) if encoding == JSON.as_bytes() => {
                check_type::<T>(&payload, JSON)?;
                serde_json::from_slice(&payload.data).map(Self).map_err(|error| malformed(JSON, error.to_string()))
            }
            _ => Err(PayloadConversionError::WrongEncoding),
        }
    }
}

fn named<T: Name>(encoding: &str, data: Vec<u8>) -> Payload {
    Payload {
        metadata: [(ENCODING.to_owned(), encoding.into()), (MESSAGE_TYPE.to_owned(), T::full_name().into_bytes())]
            .into(),
        data,
        external_payloads: Vec::new(),
    }
}

fn decode<T: Message + Name + Default>(payload: &Payload) -> Result<T, PayloadConversionError> {
    check_type::<T>(payload, BINARY)?;
    T::decode(payload.data.as_slice()).map_err(|error| malformed(BINARY, error.to_string()))
}

/// Any bytes may decode as any message; the name, if there is one, must be right.
fn check_type<T: Name>(payload: &Payload, encoding: &'static str) -> Result<(), PayloadConversionError> {
    let expected = T::full_name();
    match payload.metadata.get(MESSAGE_TYPE) {
        Some(found) if found != expected.as_bytes() => {
            let found = String::from_utf8_lossy(found);
            Err(malformed(encoding, format!("it is a {found}, not a {expected}")))
        }
        _ => Ok(()),
    }
}

fn malformed(encoding: &'static str, reason: String) -> PayloadConversionError {
    Error::Malformed { encoding, reason }.into()
}

#[cfg(test)]
mod tests {
    use temporalio_common::data_converters::{GenericPayloadConverter, PayloadConverter, SerializationContextData};

    use super::*;

    #[derive(Clone, PartialEq, Eq, Message, Serialize, serde::Deserialize)]
    struct Point {
        #[prost(int32, tag = "1")]
        x: i32,
    }

    impl Name for Point {
        const NAME: &'static str = "Point";
        const PACKAGE: &'static str = "tests";
    }

    #[derive(Clone, PartialEq, Eq, Message)]
    struct Other {}

    impl Name for Other {
        const NAME: &'static str = "Other";
        const PACKAGE: &'static str = "tests";
    }

    fn write<T: TemporalSerializable + 'static>(value: &T) -> Payload {
        let converter = PayloadConverter::default();
        let context = SerializationContext::new(&SerializationContextData::None, &converter);
        converter.to_payload(&context, value).unwrap()
    }

    fn read<T: TemporalDeserializable + 'static>(payload: Payload) -> Result<T, String> {
        let converter = PayloadConverter::default();
        let context = SerializationContext::new(&SerializationContextData::None, &converter);
        converter.from_payload(&context, payload).map_err(|error| error.to_string())
    }

    #[test]
    fn binary_carries_the_name() {
        let payload = write(&Proto(Point { x: 3 }));
        assert_eq!(payload.metadata["encoding"], b"binary/protobuf");
        assert_eq!(payload.metadata["messageType"], b"tests.Point");
        assert_eq!(read(payload), Ok(Proto(Point { x: 3 })));
    }

    #[test]
    fn json_is_written_and_both_are_read() {
        let payload = write(&ProtoJson(Point { x: 3 }));
        assert_eq!(payload.metadata["encoding"], b"json/protobuf");
        assert_eq!(payload.data, br#"{"x":3}"#);
        assert_eq!(read(payload), Ok(ProtoJson(Point { x: 3 })));
        assert_eq!(read(write(&Proto(Point { x: 3 }))), Ok(ProtoJson(Point { x: 3 })));
    }

    #[test]
    fn another_message_is_refused_by_name() {
        let refused = read::<Proto<Point>>(write(&Proto(Other {}))).unwrap_err();
        assert!(refused.contains("it is a tests.Other, not a tests.Point"), "{refused}");
    }
}
