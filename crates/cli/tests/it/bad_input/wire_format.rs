//! Changing messages without knowing what they mean: the protobuf encoding is enough to find a field, and to put
//! something extreme in its place.

use prost::encoding::{decode_varint, encode_varint};

/// Numbers that a seed repeats.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

#[derive(Debug, Clone)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Fixed32([u8; 4]),
}

/// The message with some of its fields changed, at any depth.
pub(crate) fn mutate(message: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..1 + random.below(3) {
        bytes = mutate_once(&bytes, random);
    }
    bytes
}

fn mutate_once(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let Some(mut fields) = parse(bytes) else { return damaged(bytes, random) };
    if fields.is_empty() {
        return random_field(random);
    }
    let at = random.below(fields.len());
    match random.below(16) {
        0 => {
            fields.remove(at);
        }
        1 => fields.push(fields[at].clone()),
        2 => {
            let other = random.below(fields.len());
            fields[at].value = fields[other].value.clone();
        }
        3 => fields[at].number = 1 + random.below(20) as u64,
        _ => change(&mut fields[at].value, random),
    }
    write(&fields)
}

fn change(value: &mut Value, random: &mut Random) {
    match value {
        Value::Varint(number) => *number = extreme(random),
        Value::Fixed64(bytes) => {
            let extremes = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300, 1e-300, f64::MIN_POSITIVE];
            *bytes = random.pick(&extremes).to_le_bytes();
        }
        Value::Fixed32(bytes) => *bytes = random.pick(&[f32::NAN, f32::INFINITY, -1.0, 0.0]).to_le_bytes(),
        Value::Bytes(bytes) => {
            // A text may parse as a message by chance, and a message is seldom a text: either is a fine change.
            let goes_deeper = random.below(4) > 0 && parse(bytes).is_some_and(|it| !it.is_empty());
            *bytes = if goes_deeper { mutate_once(bytes, random) } else { other_bytes(bytes, random) };
        }
    }
}

fn extreme(random: &mut Random) -> u64 {
    let extremes = [
        0,
        1,
        2,
        99,
        999_999_999,
        1_000_000_000,
        i32::MAX as u64,
        i32::MIN as i64 as u64,
        u32::MAX.into(),
        253_402_300_800,
        315_576_000_001,
        i64::MAX as u64 / 1_000_000_000 + 1,
        i64::MAX as u64,
        i64::MIN as u64,
        u64::MAX,
        -999_999_999_i64 as u64,
        -1_000_000_000_i64 as u64,
    ];
    random.pick(&extremes)
}

fn other_bytes(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    match random.below(9) {
        0 => Vec::new(),
        1 => vec![b'x'; 1_001],
        2 => vec![b'('; 20_000],
        3 => "\u{0}\u{202e}\u{10ffff} é'\"`\\%_".into(),
        4 => vec![0xff, 0xfe],
        5 => b"0000-00-00T99:99:99Z".to_vec(),
        6 => [bytes, b" OR ", bytes].concat(),
        7 => bytes[..random.below(bytes.len())].to_vec(),
        _ => damaged(bytes, random),
    }
}

fn damaged(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return random.bytes(8);
    }
    let at = random.below(bytes.len());
    match random.below(3) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes.truncate(at),
        _ => {
            let more = random.bytes(4);
            bytes.splice(at..at, more);
        }
    }
    bytes
}

fn random_field(random: &mut Random) -> Vec<u8> {
    let number = 1 + random.below(20) as u64;
    let value = match random.below(2) {
        0 => Value::Varint(extreme(random)),
        _ => Value::Bytes(other_bytes(b"field", random)),
    };
    write(&[Field { number, value }])
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = decode_varint(&mut bytes).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(decode_varint(&mut bytes).ok()?),
            1 => Value::Fixed64(*bytes.split_off(..8)?.first_chunk()?),
            2 => {
                let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                Value::Bytes(bytes.split_off(..length)?.to_vec())
            }
            5 => Value::Fixed32(*bytes.split_off(..4)?.first_chunk()?),
            _ => return None,
        };
        let number = key >> 3;
        if number == 0 || number > 100_000 {
            return None;
        }
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Field { number, value } in fields {
        let kind = match value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        encode_varint(number << 3 | kind, &mut bytes);
        match value {
            Value::Varint(number) => encode_varint(*number, &mut bytes),
            Value::Fixed64(fixed) => bytes.extend(fixed),
            Value::Bytes(field) => {
                encode_varint(field.len() as u64, &mut bytes);
                bytes.extend(field);
            }
            Value::Fixed32(fixed) => bytes.extend(fixed),
        }
    }
    bytes
}
