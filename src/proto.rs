//! Messages generated from `proto/`: what goes to disk and between nodes.

#![allow(
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::too_many_lines,
    clippy::unused_trait_names,
    clippy::use_self,
    clippy::needless_pass_by_value,
    elided_lifetimes_in_paths,
    reason = "generated"
)]

/// What nodes say to each other.
pub mod cluster {
    tonic::include_proto!("strongroom.cluster");

    /// Shows no token.
    impl std::fmt::Debug for JoinRequest {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JoinRequest(..)")
        }
    }
}

/// Clients' requests on their way to the active node.
pub mod forward {
    tonic::include_proto!("strongroom.forward");

    macro_rules! show_nothing {
        ($($message:ident)*) => {$(
            impl std::fmt::Debug for $message {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(concat!(stringify!($message), "(..)"))
                }
            }
        )*};
    }
    show_nothing!(Answer Auth Error RawBody Reply Request WrapInfo);
}

/// The replicated log's entries.
pub mod log {
    tonic::include_proto!("strongroom.log");
}

/// What consensus writes and sends.
pub mod raft {
    tonic::include_proto!("strongroom.raft");
}

/// Seal configuration and keyring.
pub mod seal {
    tonic::include_proto!("strongroom.seal");

    /// Shows no key.
    impl std::fmt::Debug for KeyringContent {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("KeyringContent(..)")
        }
    }

    /// Shows no key.
    impl std::fmt::Debug for KeyringTerm {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("KeyringTerm(..)")
        }
    }
}

/// What is stored in clear about the cluster itself.
pub mod system {
    tonic::include_proto!("strongroom.system");
}

#[cfg(test)]
mod tests;
