//! Compiles the protos with `protox`, so that a build needs no `protoc`.

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut protos = Vec::new();
    for entry in std::fs::read_dir("proto")? {
        let path = entry?.path();
        let holds_keys = path == Path::new(WITH_KEYS);
        if !holds_keys && path.extension().is_some_and(|extension| extension == "proto") {
            protos.push(path);
        }
    }
    protos.sort();
    let descriptors = protox::compile(&protos, ["proto"])?;
    tonic_prost_build::configure().bytes(".").skip_debug(WITH_SECRETS).compile_fds(descriptors)?;

    // Of `Vec`s, unlike the others, because these are zeroed when dropped.
    let descriptors = protox::compile([PathBuf::from(WITH_KEYS)], ["proto"])?;
    let mut builder = tonic_prost_build::configure();
    for message in [".strongroom.seal.KeyringContent", ".strongroom.seal.KeyringTerm"] {
        builder = builder
            .message_attribute(message, "#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]")
            .skip_debug([message]);
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}

/// Holds the messages that carry keys in clear.
const WITH_KEYS: &str = "proto/seal.proto";

/// Carry tokens, and what is read and written: `src/proto.rs` shows nothing of them.
const WITH_SECRETS: [&str; 8] = [
    ".strongroom.cluster.JoinRequest",
    ".strongroom.forward.Answer",
    ".strongroom.forward.Auth",
    ".strongroom.forward.Error",
    ".strongroom.forward.RawBody",
    ".strongroom.forward.Reply",
    ".strongroom.forward.Request",
    ".strongroom.forward.WrapInfo",
];
