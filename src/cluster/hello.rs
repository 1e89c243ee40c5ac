//! What is said on a connection before HTTP/2: what it is for, whether this node may use it, and,
//! where requests are to be forwarded, that both ends are unsealed.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// Raft's messages, and a node's next certificate.
    Replication,
    /// Clients' requests: both ends are unsealed.
    Forwarding,
    /// The one that is open without a certificate.
    Joining,
}

/// Which end of a connection, so that a proof cannot be sent back to whoever made it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Dialler,
    Listener,
}

/// Both ends of a TLS connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ends {
    pub dialler: u64,
    pub listener: u64,
}

/// Proves to another node that this one is unsealed; the barrier implements it.
pub trait UnsealedProof: Send + Sync + 'static {
    /// A MAC, under a key that only unsealed nodes have, over all arguments. `exporter` is bound
    /// to one TLS connection. `None` while sealed.
    fn prove(&self, exporter: &[u8; 32], role: Role, ends: Ends) -> Option<[u8; 32]>;

    /// Whether `mac` is what [`Self::prove`] gives; `false` while sealed. In constant time.
    fn verify(&self, exporter: &[u8; 32], role: Role, ends: Ends, mac: &[u8; 32]) -> bool;
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// This node is no member any more.
    #[error("this node was removed from the cluster")]
    Removed,
    /// One end is sealed, or has another keyring.
    #[error("not both nodes are unsealed")]
    Sealed,
    #[error("a certificate of the cluster is needed")]
    NoCertificate,
    /// Too many connections.
    #[error("the node has too many connections")]
    Busy,
    #[error("the node speaks a protocol that this one does not")]
    Protocol,
}

/// What the listener learned.
pub(super) struct Hello {
    pub(super) purpose: Purpose,
    pub(super) proof: Option<[u8; 32]>,
}

/// The dialler's half.
///
/// # Errors
/// Where the listener refuses, or cannot prove itself.
pub(super) async fn greet<S>(
    stream: &mut S,
    purpose: Purpose,
    exporter: &[u8; 32],
    ends: Ends,
    proof: &dyn UnsealedProof,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut hello = vec![VERSION, purpose.byte()];
    if purpose == Purpose::Forwarding {
        let own = proof.prove(exporter, Role::Dialler, ends);
        hello.extend(own.ok_or_else(|| refused(Refusal::Sealed))?);
    }
    say(stream, &hello).await?;
    if purpose == Purpose::Forwarding {
        let mut theirs = [0; 32];
        stream.read_exact(&mut theirs).await?;
        if !proof.verify(exporter, Role::Listener, ends, &theirs) {
            return Err(refused(Refusal::Sealed));
        }
    }
    Ok(())
}

/// The dialler's half, where it is no member yet.
///
/// # Errors
/// Where the listener refuses.
pub(super) async fn ask_to_join<S>(stream: &mut S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    say(stream, &[VERSION, Purpose::Joining.byte()]).await
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, hello: &[u8]) -> io::Result<()> {
    stream.write_all(hello).await?;
    stream.flush().await?;
    match stream.read_u8().await? {
        WELCOME => Ok(()),
        verdict => Err(refused(Refusal::of(verdict))),
    }
}

/// The listener's half: what is wanted.
pub(super) async fn hear<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Hello> {
    let version = stream.read_u8().await?;
    let purpose = Purpose::of(stream.read_u8().await?);
    let (VERSION, Some(purpose)) = (version, purpose) else {
        return Err(refused(Refusal::Protocol));
    };
    let mut proof = None;
    if purpose == Purpose::Forwarding {
        let mut theirs = [0; 32];
        stream.read_exact(&mut theirs).await?;
        proof = Some(theirs);
    }
    Ok(Hello { purpose, proof })
}

pub(super) async fn welcome<S: AsyncWrite + Unpin>(
    stream: &mut S,
    own: Option<[u8; 32]>,
) -> io::Result<()> {
    let mut answer = vec![WELCOME];
    answer.extend(own.into_iter().flatten());
    stream.write_all(&answer).await?;
    stream.flush().await
}

pub(super) async fn refuse<S: AsyncWrite + Unpin>(
    stream: &mut S,
    refusal: Refusal,
) -> io::Result<()> {
    stream.write_all(&[refusal.byte()]).await?;
    stream.shutdown().await
}

/// The refusal in an error of [`greet`] or [`hear`].
pub(super) fn refusal(error: &io::Error) -> Option<Refusal> {
    error.get_ref()?.downcast_ref::<Refusal>().copied()
}

pub(super) fn refused(refusal: Refusal) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, refusal)
}

impl Purpose {
    fn byte(self) -> u8 {
        match self {
            Self::Replication => b'R',
            Self::Forwarding => b'F',
            Self::Joining => b'J',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Replication, Self::Forwarding, Self::Joining]
            .into_iter()
            .find(|purpose| purpose.byte() == byte)
    }
}

impl Refusal {
    const ALL: [Self; 5] =
        [Self::Removed, Self::Sealed, Self::NoCertificate, Self::Busy, Self::Protocol];

    fn byte(self) -> u8 {
        match self {
            Self::Removed => 1,
            Self::Sealed => 2,
            Self::NoCertificate => 3,
            Self::Busy => 4,
            Self::Protocol => 5,
        }
    }

    fn of(byte: u8) -> Self {
        Self::ALL.into_iter().find(|refusal| refusal.byte() == byte).unwrap_or(Self::Protocol)
    }
}

/// Of this exchange.
const VERSION: u8 = 1;
const WELCOME: u8 = 0;
