//! What travels: values, one payload each, and the arguments of a call.
//!
//! A call with three arguments carries three payloads, as the official SDKs of every language encode it, so a
//! worker in Go can run what a workflow in Rust calls, and the other way round.

use temporalio_common::data_converters::{
    GenericPayloadConverter, PayloadConversionError, PayloadConverter, RawValue, SerializationContext,
    SerializationContextData, TemporalDeserializable, TemporalSerializable,
};
use temporalio_common::protos::temporal::api::common::v1::Payload;

/// A value that can be an argument or a result.
///
/// Every type with serde's `Serialize` and `DeserializeOwned` is one and travels as JSON.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument or a result: it has no way into a payload",
    label = "not serialisable",
    note = "derive `serde::Serialize` and `serde::Deserialize`, and own the data (`String`, not `&str`)"
)]
pub trait Value: TemporalSerializable + TemporalDeserializable + Send + 'static {}

impl<T: TemporalSerializable + TemporalDeserializable + Send + 'static> Value for T {}

/// The arguments of an activity, a workflow or a message: a tuple of values.
pub trait Arguments: Send + Sized + 'static {
    /// How many there are.
    const COUNT: usize;

    /// As a closure with one parameter takes them: one value as it is, several as a tuple.
    type Plain;

    #[doc(hidden)]
    fn plain(self) -> Self::Plain;

    #[doc(hidden)]
    fn encode(&self, context: &SerializationContext<'_>) -> Result<Vec<Payload>, PayloadConversionError>;

    #[doc(hidden)]
    fn decode(context: &SerializationContext<'_>, payloads: Vec<Payload>) -> Result<Self, PayloadConversionError>;
}

impl Arguments for () {
    const COUNT: usize = 0;
    type Plain = ();

    fn plain(self) {}

    fn encode(&self, _: &SerializationContext<'_>) -> Result<Vec<Payload>, PayloadConversionError> {
        Ok(Vec::new())
    }

    // Some clients send an explicit null where there is nothing to say.
    fn decode(_: &SerializationContext<'_>, _: Vec<Payload>) -> Result<Self, PayloadConversionError> {
        Ok(())
    }
}

macro_rules! arguments {
    ($count:literal: $($name:ident $index:tt),+) => {
        #[allow(unused_parens, reason = "around one value, not around several")]
        impl<$($name: Value),+> Arguments for ($($name,)+) {
            const COUNT: usize = $count;
            // Parentheses around one type are that type, and around several a tuple.
            type Plain = ($($name),+);

            fn plain(self) -> Self::Plain {
                ($(self.$index),+)
            }

            fn encode(&self, context: &SerializationContext<'_>) -> Result<Vec<Payload>, PayloadConversionError> {
                Ok(vec![$(context.converter.to_payload(context, &self.$index).map_err(|error| {
                    conversion(format!("argument {} of {}: {error}", $index + 1, $count))
                })?),+])
            }

            fn decode(
                context: &SerializationContext<'_>,
                payloads: Vec<Payload>,
            ) -> Result<Self, PayloadConversionError> {
                if payloads.len() != $count {
                    return Err(conversion(format!("expected {} argument(s), got {}", $count, payloads.len())));
                }
                let mut payloads = payloads.into_iter();
                Ok(($({
                    let payload: Payload = payloads.next().expect("the number was checked");
                    context.converter.from_payload::<$name>(context, payload).map_err(|error| {
                        conversion(format!("argument {} of {}: {error}", $index + 1, $count))
                    })?
                },)+))
            }
        }
    };
}

arguments!(1: A 0);
arguments!(2: A 0, B 1);
arguments!(3: A 0, B 1, C 2);
arguments!(4: A 0, B 1, C 2, D 3);
arguments!(5: A 0, B 1, C 2, D 3, E 4);
arguments!(6: A 0, B 1, C 2, D 3, E 4, F 5);
arguments!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
arguments!(8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

fn conversion(message: String) -> PayloadConversionError {
    PayloadConversionError::EncodingError(message.into())
}

/// The arguments of one call on their way to the wire: what they are is known only to this box.
pub(crate) trait Encode: Send {
    fn payloads(
        &self,
        converter: &PayloadConverter,
        context: &SerializationContextData,
    ) -> Result<RawValue, PayloadConversionError>;
}

impl<A: Arguments> Encode for A {
    fn payloads(
        &self,
        converter: &PayloadConverter,
        context: &SerializationContextData,
    ) -> Result<RawValue, PayloadConversionError> {
        self.encode(&SerializationContext::new(context, converter)).map(RawValue::new)
    }
}

/// Payloads as they came, with what decodes them: the side that decodes chooses the moment, and so the error.
#[derive(Clone, Debug)]
pub(crate) struct Undecoded {
    payloads: Vec<Payload>,
    converter: PayloadConverter,
    context: SerializationContextData,
}

impl Undecoded {
    pub(crate) fn new(payloads: Vec<Payload>, converter: PayloadConverter, context: SerializationContextData) -> Self {
        Undecoded { payloads, converter, context }
    }

    pub(crate) fn arguments<A: Arguments>(self) -> Result<A, PayloadConversionError> {
        A::decode(&SerializationContext::new(&self.context, &self.converter), self.payloads)
    }

    pub(crate) fn converter(&self) -> &PayloadConverter {
        &self.converter
    }
}

impl TemporalDeserializable for Undecoded {
    fn from_payload(context: &SerializationContext<'_>, payload: Payload) -> Result<Self, PayloadConversionError> {
        Self::from_payloads(context, vec![payload])
    }

    fn from_payloads(
        context: &SerializationContext<'_>,
        payloads: Vec<Payload>,
    ) -> Result<Self, PayloadConversionError> {
        Ok(Undecoded { payloads, converter: context.converter.clone(), context: context.data.clone() })
    }
}

impl TemporalSerializable for Undecoded {
    fn to_payloads(&self, _: &SerializationContext<'_>) -> Result<Vec<Payload>, PayloadConversionError> {
        Ok(self.payloads.clone())
    }
}

/// One value as its payload.
pub(crate) fn encode<T: Value>(
    value: &T,
    converter: &PayloadConverter,
    context: &SerializationContextData,
) -> Result<RawValue, PayloadConversionError> {
    let payload = converter.to_payload(&SerializationContext::new(context, converter), value)?;
    Ok(RawValue::new(vec![payload]))
}

/// The value in a payload. No payload at all stands for null, which is what some SDKs leave out.
pub(crate) fn decode<T: Value>(
    raw: RawValue,
    converter: &PayloadConverter,
    context: &SerializationContextData,
) -> Result<T, PayloadConversionError> {
    let context = SerializationContext::new(context, converter);
    let payload = match raw.payloads.into_iter().next() {
        Some(payload) if !payload.metadata.is_empty() || !payload.data.is_empty() => payload,
        _ => converter.to_payload(&context, &())?,
    };
    converter.from_payload(&context, payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use temporalio_common::data_converters::SerializationContextData::Workflow;
    use temporalio_common::data_converters::WorkflowSerializationContext;

    #[test]
    fn every_argument_is_a_payload_of_its_own() {
        let raw = payloads(("a".to_owned(), 7_u32, Some(true)));
        let data: Vec<_> = raw.payloads.iter().map(|payload| String::from_utf8_lossy(&payload.data)).collect();
        assert_eq!(data, ["\"a\"", "7", "true"]);
    }

    #[test]
    fn what_does_not_fit_names_the_argument() {
        let raw = payloads(("a".to_owned(), "b".to_owned()));
        let error = undecoded(raw).arguments::<(String, u32)>().unwrap_err();
        assert!(error.to_string().contains("argument 2 of 2"), "{error}");
    }

    #[test]
    fn a_wrong_number_of_arguments_is_said() {
        let error = undecoded(payloads((1_u8,))).arguments::<(u8, u8)>().unwrap_err();
        assert!(error.to_string().contains("expected 2 argument(s), got 1"), "{error}");
    }

    #[test]
    fn a_missing_result_reads_as_nothing() {
        let converter = PayloadConverter::default();
        decode::<()>(RawValue::default(), &converter, &context()).unwrap();
        assert_eq!(decode::<Option<u8>>(RawValue::default(), &converter, &context()).unwrap(), None);
        decode::<u8>(RawValue::default(), &converter, &context()).unwrap_err();
    }

    fn payloads(arguments: impl Arguments) -> RawValue {
        arguments.payloads(&PayloadConverter::default(), &context()).unwrap()
    }

    fn undecoded(raw: RawValue) -> Undecoded {
        Undecoded { payloads: raw.payloads, converter: PayloadConverter::default(), context: context() }
    }

    fn context() -> SerializationContextData {
        Workflow(WorkflowSerializationContext::new())
    }
}
