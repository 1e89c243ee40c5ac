//! The bytes of every message, so that no field changes its number or type by accident.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use prost::Message;
use protox::prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use super::{cluster, forward, log, raft, seal, system};

/// Lines of `golden` are never changed and never taken away: nodes and disks of older releases
/// speak so. A message that gains a field gains a line.
#[test]
fn messages_have_the_bytes_they_always_had() {
    let golden = include_str!("../../tests/golden/messages.txt");
    let mut known = BTreeSet::new();
    for line in golden.lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let bytes = unhex(hex);
        let again = coded(name, &bytes);
        assert_eq!(again, bytes, "{name} is read and written differently: {hex}");
        known.insert(line);
    }
    let mut new = String::new();
    let mut names = BTreeSet::new();
    for message in descriptors() {
        names.insert(message.full_name().to_owned());
        let variants = message.oneofs().filter(|oneof| !oneof.is_synthetic());
        let variants = variants.map(|oneof| oneof.fields().count()).max().unwrap_or(1);
        for variant in 0..variants {
            let bytes = sample(&message, variant, 0).encode_to_vec();
            let line = format!("{} {}", message.full_name(), hex(&bytes));
            if !known.contains(line.as_str()) {
                writeln!(new, "{line}").unwrap();
            }
        }
    }
    assert!(new.is_empty(), "if these are new, add them to tests/golden/messages.txt:\n{new}");
    for line in golden.lines() {
        let name = line.split(' ').next().unwrap();
        assert!(names.contains(name), "{name} is gone, but disks may hold it");
    }
}

fn descriptors() -> Vec<MessageDescriptor> {
    let mut protos: Vec<_> =
        std::fs::read_dir("proto").unwrap().map(|entry| entry.unwrap().path()).collect();
    protos.sort();
    let mut compiler = protox::Compiler::new(["proto"]).unwrap();
    compiler.open_files(protos).unwrap();
    let pool: DescriptorPool = compiler.descriptor_pool();
    let mut messages: Vec<_> =
        pool.all_messages().filter(|message| !message.is_map_entry()).collect();
    messages.sort_by_key(|message| message.full_name().to_owned());
    messages
}

/// Every field is set, but of a `oneof` one: that of this number.
fn sample(message: &MessageDescriptor, variant: usize, depth: usize) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if let Some(oneof) = field.containing_oneof()
            && !oneof.is_synthetic()
        {
            let count = oneof.fields().count();
            let chosen = oneof.fields().nth(variant.min(count - 1)).unwrap();
            if chosen != field {
                continue;
            }
        }
        let one = |salt| value(&field, salt, depth);
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { panic!() };
            let part = value(&entry.map_entry_value_field(), 1, depth);
            Value::Map([(MapKey::String("k".into()), part)].into())
        } else if field.is_list() {
            Value::List(vec![one(1), one(2)])
        } else {
            one(1)
        };
        made.set_field(&field, value);
    }
    made
}

/// None is its type's default, which would not be written.
fn value(field: &FieldDescriptor, salt: u32, depth: usize) -> Value {
    let number = field.number() * 1000 + salt;
    match field.kind() {
        Kind::Bool => Value::Bool(true),
        Kind::Uint32 => Value::U32(number),
        Kind::Uint64 => Value::U64(number.into()),
        Kind::Int32 | Kind::Sint32 => Value::I32(-i32::try_from(number).unwrap()),
        Kind::Int64 | Kind::Sint64 => Value::I64(-i64::from(number)),
        Kind::Double => Value::F64(number.into()),
        Kind::String => Value::String(format!("text {number}")),
        Kind::Bytes => Value::Bytes(number.to_be_bytes().to_vec().into()),
        Kind::Enum(all) => Value::EnumNumber(all.values().map(|one| one.number()).max().unwrap()),
        Kind::Message(message) => {
            assert!(depth < 8, "{} is endless", message.full_name());
            Value::Message(sample(&message, 0, depth + 1))
        }
        other => panic!("{other:?} is not used yet: choose a value for it"),
    }
}

/// Through the type that the program itself uses.
fn coded(name: &str, bytes: &[u8]) -> Vec<u8> {
    fn through<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
        M::decode(bytes).unwrap().encode_to_vec()
    }
    macro_rules! types {
        ($($package:ident: $($message:ident)*;)*) => {
            match name {
                $($(concat!("strongroom.", stringify!($package), ".", stringify!($message)) => {
                    through::<$package::$message>(bytes)
                })*)*
                other => panic!("name {other} here"),
            }
        };
    }
    types! {
        cluster: Header AppendRequest AppendResponse Success Conflict NodeStatus VoteRequest
            VoteResponse TransferRequest TransferResponse LogNotFlushed NotCandidate SnapshotChunk
            SnapshotHeader SnapshotEnd SnapshotResponse ReadIndexRequest ReadIndexResponse
            JoinRequest JoinResponse Application Admission JoinRefusal RenewRequest RenewResponse;
        forward: Request Header Answer NotActive Reply AwaitLease AwaitPrefix Pair
            RawBody Auth Lease WrapInfo Error UploadPart UploadEnd;
        log: Entry Batch ReadRecord ReadDirectory Restore RestoreBegin RestoreGiveUp RestorePiece
            RestoreReplace SystemRead SystemWrite Write;
        raft: LeaderId LogId Vote Entry Blank Membership Voters Member Position StateImage
            ImageRecord ImageDirectory ImageRow ImageSystem;
        seal: SealConfiguration KeyringRecord KeyringContent KeyringTerm PreviousShares
            WrappedSealKey;
        system: Cluster;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
