//! What is signed, in DER (RFC 5280, RFC 2986).
//!
//! rcgen is not used here: it keeps one value of each attribute of a name and writes an imported
//! issuer's name anew, so that chains of other authorities would break. The encoder is yasna, as
//! rcgen's.

use std::net::IpAddr;

use time::OffsetDateTime;
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, Tag, construct_der, construct_der_seq};

use crate::clock::Timestamp;

/// An object identifier's numbers. Made by [`parse_oid`] or a constant: what yasna can write.
pub(super) type Oid = Vec<u64>;

#[derive(Clone, Debug)]
pub(super) struct Extension {
    oid: Oid,
    critical: bool,
    value: Vec<u8>,
}

/// One attribute of a name, with its values.
pub(super) type Attribute = (&'static [u64], Vec<String>);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum GeneralName {
    Dns(String),
    Email(String),
    Ip(IpAddr),
    /// UTF-8 under an identifier.
    Other(Oid, String),
    Uri(String),
}

/// What is to be signed of a certificate.
pub(super) struct Certificate<'c> {
    pub(super) serial: &'c [u8],
    /// An `AlgorithmIdentifier`.
    pub(super) algorithm: &'c [u8],
    /// A `Name`, byte for byte the issuer's.
    pub(super) issuer: &'c [u8],
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// A `Name`.
    pub(super) subject: &'c [u8],
    /// A `SubjectPublicKeyInfo`.
    pub(super) public_key: &'c [u8],
    pub(super) extensions: &'c [Extension],
}

impl Extension {
    pub(super) fn is_of(&self, oid: &[u64]) -> bool {
        self.oid == oid
    }
}

impl Certificate<'_> {
    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        construct_der(|writer| {
            writer.write_sequence(|writer| {
                // Version 3.
                writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2));
                writer.next().write_bigint_bytes(self.serial, true);
                writer.next().write_der(self.algorithm);
                writer.next().write_der(self.issuer);
                writer.next().write_sequence(|writer| {
                    write_time(writer.next(), self.not_before);
                    write_time(writer.next(), self.not_after);
                });
                writer.next().write_der(self.subject);
                writer.next().write_der(self.public_key);
                if !self.extensions.is_empty() {
                    writer.next().write_tagged(Tag::context(3), |writer| {
                        write_extensions(writer, self.extensions);
                    });
                }
            });
        })
    }
}

/// One entry of a list of revoked certificates.
pub(super) fn revoked(serial: &[u8], at: Timestamp) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_bigint_bytes(serial, true);
            write_time(writer.next(), at);
        });
    })
}

/// What stands in a list before its entries, one after the other.
pub(super) fn before_revoked(
    algorithm: &[u8],
    issuer: &[u8],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Vec<u8> {
    construct_der_seq(|writer| {
        writer.next().write_u8(1);
        writer.next().write_der(algorithm);
        writer.next().write_der(issuer);
        write_time(writer.next(), this_update);
        write_time(writer.next(), next_update);
    })
}

/// What stands in a list after its entries.
pub(super) fn after_revoked(extensions: &[Extension]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_tagged(Tag::context(0), |writer| write_extensions(writer, extensions));
    })
}

/// What is to be signed of a list of revoked certificates; its entries may be in pieces.
pub(super) fn revocation_list(before: &[u8], entries: &[&[u8]], after: &[u8]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(before);
            if entries.iter().any(|piece| !piece.is_empty()) {
                writer.next().write_sequence(|writer| {
                    for piece in entries {
                        writer.next().write_der(piece);
                    }
                });
            }
            writer.next().write_der(after);
        });
    })
}

/// What is to be signed of a request for a certificate.
pub(super) fn request(subject: &[u8], public_key: &[u8], extensions: &[Extension]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer.next().write_der(subject);
            writer.next().write_der(public_key);
            writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                writer.write_set(|writer| {
                    if extensions.is_empty() {
                        return;
                    }
                    writer.next().write_sequence(|writer| {
                        write_oid(writer.next(), EXTENSION_REQUEST);
                        writer.next().write_set(|writer| {
                            write_extensions(writer.next(), extensions);
                        });
                    });
                });
            });
        });
    })
}

/// The whole of what was signed.
pub(super) fn signed(to_be_signed: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(to_be_signed);
            writer.next().write_der(algorithm);
            writer.next().write_bitvec_bytes(signature, signature.len() * 8);
        });
    })
}

/// Attributes without a value are left out.
pub(super) fn name(attributes: &[Attribute]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (oid, values) in attributes.iter().filter(|(_, values)| !values.is_empty()) {
                writer.next().write_set_of(|writer| {
                    for value in values {
                        writer.next().write_sequence(|writer| {
                            write_oid(writer.next(), oid);
                            if value.bytes().all(is_printable) {
                                writer.next().write_printable_string(value);
                            } else {
                                writer.next().write_utf8_string(value);
                            }
                        });
                    }
                });
            }
        });
    })
}

/// Of X.680's PrintableString.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

pub(super) fn alternative_names(names: &[GeneralName], critical: bool) -> Extension {
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            for name in names {
                write_general_name(writer.next(), name);
            }
        });
    });
    Extension { oid: SUBJECT_ALTERNATIVE_NAME.to_vec(), critical, value }
}

fn write_general_name(writer: DERWriter<'_>, name: &GeneralName) {
    let text = |writer: DERWriter<'_>, tag: u64, text: &str| {
        writer.write_tagged_implicit(Tag::context(tag), |writer| {
            writer.write_bytes(text.as_bytes());
        });
    };
    match name {
        GeneralName::Email(name) => text(writer, 1, name),
        GeneralName::Dns(name) => text(writer, 2, name),
        GeneralName::Uri(name) => text(writer, 6, name),
        GeneralName::Ip(address) => {
            writer.write_tagged_implicit(Tag::context(7), |writer| match address {
                IpAddr::V4(address) => writer.write_bytes(&address.octets()),
                IpAddr::V6(address) => writer.write_bytes(&address.octets()),
            })
        }
        GeneralName::Other(oid, value) => {
            writer.write_tagged_implicit(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    write_oid(writer.next(), oid);
                    writer.next().write_tagged(Tag::context(0), |writer| {
                        writer.write_utf8_string(value);
                    });
                });
            });
        }
    }
}

/// `flags`: bit 0 is digitalSignature, as RFC 5280 numbers them.
pub(super) fn key_usage(flags: u16) -> Extension {
    let value = construct_der(|writer| {
        let bits = flags.reverse_bits().to_be_bytes();
        let length = 16 - flags.leading_zeros() as usize;
        let bytes = bits.get(..length.div_ceil(8)).unwrap_or_default();
        writer.write_bitvec_bytes(bytes, length);
    });
    Extension { oid: KEY_USAGE.to_vec(), critical: true, value }
}

pub(super) fn extended_key_usage(oids: &[Oid]) -> Extension {
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            for oid in oids {
                write_oid(writer.next(), oid);
            }
        });
    });
    Extension { oid: EXTENDED_KEY_USAGE.to_vec(), critical: false, value }
}

/// `path_length`: how many authorities may follow; `None`: any number.
pub(super) fn basic_constraints(is_authority: bool, path_length: Option<u32>) -> Extension {
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            if is_authority {
                writer.next().write_bool(true);
                if let Some(length) = path_length {
                    writer.next().write_u32(length);
                }
            }
        });
    });
    Extension { oid: vec![2, 5, 29, 19], critical: true, value }
}

pub(super) fn subject_key_identifier(id: &[u8]) -> Extension {
    let value = construct_der(|writer| writer.write_bytes(id));
    Extension { oid: vec![2, 5, 29, 14], critical: false, value }
}

pub(super) fn authority_key_identifier(id: &[u8]) -> Extension {
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            let tag = Tag::context(0);
            writer.next().write_tagged_implicit(tag, |writer| writer.write_bytes(id));
        });
    });
    Extension { oid: vec![2, 5, 29, 35], critical: false, value }
}

pub(super) fn crl_number(number: u64) -> Extension {
    let value = construct_der(|writer| writer.write_u64(number));
    Extension { oid: vec![2, 5, 29, 20], critical: false, value }
}

/// Where to ask for revocation, and where the issuer's certificate is.
pub(super) fn authority_information(ocsp: &[String], issuers: &[String]) -> Extension {
    const OCSP: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1];
    const ISSUERS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 2];
    let ocsp = ocsp.iter().map(|url| (OCSP, url));
    let issuers = issuers.iter().map(|url| (ISSUERS, url));
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (method, url) in ocsp.chain(issuers) {
                writer.next().write_sequence(|writer| {
                    write_oid(writer.next(), method);
                    write_general_name(writer.next(), &GeneralName::Uri(url.clone()));
                });
            }
        });
    });
    Extension { oid: vec![1, 3, 6, 1, 5, 5, 7, 1, 1], critical: false, value }
}

pub(super) fn distribution_points(urls: &[String]) -> Extension {
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            for url in urls {
                writer.next().write_sequence(|writer| {
                    writer.next().write_tagged(Tag::context(0), |writer| {
                        writer.write_tagged_implicit(Tag::context(0), |writer| {
                            writer.write_sequence(|writer| {
                                let name = GeneralName::Uri(url.clone());
                                write_general_name(writer.next(), &name);
                            });
                        });
                    });
                });
            }
        });
    });
    Extension { oid: vec![2, 5, 29, 31], critical: false, value }
}

pub(super) fn policies(oids: &[Oid]) -> Extension {
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            for oid in oids {
                writer.next().write_sequence(|writer| write_oid(writer.next(), oid));
            }
        });
    });
    Extension { oid: vec![2, 5, 29, 32], critical: false, value }
}

/// Names of hosts that the authority may certify.
pub(super) fn permitted_domains(domains: &[String]) -> Extension {
    let value = construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    for domain in domains {
                        writer.next().write_sequence(|writer| {
                            let name = GeneralName::Dns(domain.clone());
                            write_general_name(writer.next(), &name);
                        });
                    }
                });
            });
        });
    });
    Extension { oid: vec![2, 5, 29, 30], critical: true, value }
}

/// As it stands in a request, for what is signed as it is.
pub(super) fn verbatim(oid: Oid, critical: bool, value: &[u8]) -> Extension {
    Extension { oid, critical, value: value.to_vec() }
}

/// `None` where the text is no object identifier.
pub(super) fn parse_oid(text: &str) -> Option<Oid> {
    writable(text.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?)
}

/// As it stands in what others wrote. `None` where it cannot be written: also of 2.40 and more,
/// which the parser reads as something else.
pub(super) fn read_oid(oid: &x509_parser::oid_registry::Oid<'_>) -> Option<Oid> {
    // Of the first two numbers, in one byte: 2.39 at most.
    if *oid.as_bytes().first()? >= 120 {
        return None;
    }
    writable(oid.iter()?.collect())
}

/// What yasna writes; of anything else it would panic.
fn writable(numbers: Oid) -> Option<Oid> {
    match numbers.as_slice() {
        [0 | 1, second, ..] if *second < 40 => Some(numbers),
        // Room for the 80 that is added to it.
        [2, second, ..] if *second < u64::from(u32::MAX) => Some(numbers),
        _ => None,
    }
}

/// An `AlgorithmIdentifier`.
pub(super) fn algorithm(oid: &[u64], parameters: Option<&[u8]>) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            write_oid(writer.next(), oid);
            if let Some(parameters) = parameters {
                writer.next().write_der(parameters);
            }
        });
    })
}

/// RSASSA-PSS-params (RFC 4055), with the hash's own length as the salt's.
pub(super) fn pss_parameters(hash: &[u64], salt_bytes: u8) -> Vec<u8> {
    const MGF1: &[u64] = &[1, 2, 840, 113_549, 1, 1, 8];
    let hash = algorithm(hash, Some(NULL));
    let mgf = algorithm(MGF1, Some(&hash));
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_tagged(Tag::context(0), |writer| writer.write_der(&hash));
            writer.next().write_tagged(Tag::context(1), |writer| writer.write_der(&mgf));
            writer.next().write_tagged(Tag::context(2), |writer| writer.write_u8(salt_bytes));
        });
    })
}

/// What a PKCS#8 key holds in the form of its own type (RFC 5208).
pub(super) fn key_of_pkcs8(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let read = yasna::parse_der(pkcs8, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            reader.next().read_der()?;
            let key = reader.next().read_bytes()?;
            reader.read_optional(|reader| reader.read_der())?;
            Ok(key)
        })
    });
    read.ok()
}

fn write_extensions(writer: DERWriter<'_>, extensions: &[Extension]) {
    writer.write_sequence(|writer| {
        for extension in extensions {
            writer.next().write_sequence(|writer| {
                write_oid(writer.next(), &extension.oid);
                if extension.critical {
                    writer.next().write_bool(true);
                }
                writer.next().write_bytes(&extension.value);
            });
        }
    });
}

fn write_oid(writer: DERWriter<'_>, oid: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(oid));
}

/// To the second; from 2050 on with four digits of the year (RFC 5280, section 4.1.2.5).
fn write_time(writer: DERWriter<'_>, time: Timestamp) {
    let seconds = i64::try_from(time.seconds()).unwrap_or(LAST_SECOND).min(LAST_SECOND);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    if time.year() < 2050 {
        writer.write_utctime(&UTCTime::from_datetime(time));
    } else {
        writer.write_generalized_time(&GeneralizedTime::from_datetime(time));
    }
}

pub(super) const NULL: &[u8] = &[5, 0];

/// 9999-12-31T23:59:59Z: no certificate says a later time.
pub(super) const LAST_SECOND: i64 = 253_402_300_799;

pub(super) const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
pub(super) const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const EXTENSION_REQUEST: &[u64] = &[1, 2, 840, 113_549, 1, 9, 14];
const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];

pub(super) const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
pub(super) const SERIAL_NUMBER: &[u64] = &[2, 5, 4, 5];
pub(super) const COUNTRY: &[u64] = &[2, 5, 4, 6];
pub(super) const LOCALITY: &[u64] = &[2, 5, 4, 7];
pub(super) const PROVINCE: &[u64] = &[2, 5, 4, 8];
pub(super) const STREET_ADDRESS: &[u64] = &[2, 5, 4, 9];
pub(super) const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
pub(super) const ORGANIZATIONAL_UNIT: &[u64] = &[2, 5, 4, 11];
pub(super) const POSTAL_CODE: &[u64] = &[2, 5, 4, 17];
pub(super) const USER_ID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];
