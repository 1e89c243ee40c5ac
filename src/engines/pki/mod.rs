//! Certificates (X.509): authorities, roles, revocation.

mod authority;
mod certificate;
mod config;
mod crl;
mod der;
mod fetch;
mod issuer;
mod key;
mod list;
mod names;
mod role;
mod sans;
mod sign;
mod usage;

use crate::framework::{Engine, Overlap, Route};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes = authorities().into_iter().chain(certificates()).chain(public());
    Engine::new("pki", "Issues certificates, and lists those that it revoked.", routes)
}

fn authorities() -> Vec<Route> {
    vec![
        Route::new("root/generate/{exported}", "Make a root with its key.")
            .write(authority::generate_root),
        Route::new("issuers/generate/root/{exported}", "Make a root with its key.")
            .write(authority::generate_root),
        Route::new("root", "Delete all issuers and keys.").delete(config::delete_root).sudo(),
        Route::new("intermediate/generate/{exported}", "Make a key, and a request to sign.")
            .write(authority::generate_intermediate),
        Route::new("issuers/generate/intermediate/{exported}", "Make a key and a request.")
            .write(authority::generate_intermediate),
        Route::new("intermediate/set-signed", "Import what was signed elsewhere.")
            .write(authority::import_certificates),
        Route::new("root/sign-intermediate", "Sign another authority's certificate.")
            .write(authority::sign_intermediate),
        Route::new(
            "issuer/{issuer_ref}/sign-intermediate",
            "Sign another authority's certificate.",
        )
        .write(authority::sign_intermediate),
        Route::new("config/ca", "Import an authority with its key.").write(authority::import),
        Route::new("issuers/import/bundle", "Import authorities and keys.")
            .write(authority::import),
        Route::new("issuers/import/cert", "Import authorities without keys.")
            .write(authority::import_certificates),
        Route::new("issuers", "List the issuers.").list(config::list_issuers),
        Route::new("issuer/{issuer_ref}", "Read, change or delete an issuer.")
            .read(config::read_issuer)
            .write(config::write_issuer)
            .patch(config::write_issuer)
            .delete(config::delete_issuer),
        Route::new("keys", "List the keys.").list(config::list_keys),
        Route::new("key/{key_ref}", "Read, rename or delete a key.")
            .read(config::read_key)
            .write(config::write_key)
            .delete(config::delete_key),
        Route::new("config/issuers", "The default issuer.")
            .read(config::read_issuers)
            .write(config::write_issuers),
        Route::new("config/keys", "The default key.")
            .read(config::read_keys)
            .write(config::write_keys),
        Route::new("config/urls", "Where certificates say that their issuer is found.")
            .read(config::read_urls)
            .write(config::write_urls),
        Route::new("config/crl", "How long lists of revoked certificates hold.")
            .read(config::read_crl)
            .write(config::write_crl),
    ]
}

fn certificates() -> Vec<Route> {
    vec![
        Route::new("roles", "List the roles.").list(role::list),
        Route::new("roles/{name}", "What may be asked for, and what certificates say.")
            .exists(role::exists)
            .read(role::read)
            .write(role::write)
            .patch(role::patch)
            .delete(role::delete),
        Route::new("issue/{role}", "A certificate and its key.").write(sign::issue),
        Route::new("issuer/{issuer_ref}/issue/{role}", "A certificate and its key.")
            .write(sign::issue),
        Route::new("sign/{role}", "Sign a request by a role's rules.").write(sign::sign),
        Route::new("issuer/{issuer_ref}/sign/{role}", "Sign a request by a role's rules.")
            .write(sign::sign),
        Route::new("sign-verbatim", "Sign a request as it is.").write(sign::sign_verbatim),
        Route::new("sign-verbatim/{role}", "Sign a request as it is.").write(sign::sign_verbatim),
        Route::new("issuer/{issuer_ref}/sign-verbatim", "Sign a request as it is.")
            .write(sign::sign_verbatim),
        Route::new("issuer/{issuer_ref}/sign-verbatim/{role}", "Sign a request as it is.")
            .write(sign::sign_verbatim),
        Route::new("revoke", "Revoke a certificate.").write(crl::revoke),
        Route::new("revoke-with-key", "Revoke a certificate, by its key.")
            .write(crl::revoke_with_key),
        Route::new("certs", "List the serial numbers.").list(fetch::certs),
        Route::new("certs/revoked", "List what was revoked.").list(crl::list_revoked),
        Route::new("crl/rotate", "Sign all lists anew.").read(crl::rotate).write(crl::rotate),
        Route::new("tidy", "Take away what is over.").write(crl::tidy),
        Route::new("tidy-status", "What the last tidy did.").read(crl::tidy_status),
    ]
}

fn public() -> Vec<Route> {
    let routes = vec![
        Route::new("ca", "The default issuer's certificate, DER.").read(fetch::ca),
        Route::new("ca/pem", "The default issuer's certificate, PEM.").read(fetch::ca_pem),
        Route::new("ca_chain", "The default issuer and those above it.").read(fetch::ca_chain),
        Route::new("crl", "The default issuer's list, DER.").read(fetch::crl),
        Route::new("crl/pem", "The default issuer's list, PEM.").read(fetch::crl_pem),
        Route::new("cert/ca", "The default issuer's certificate.").read(fetch::cert_ca),
        Route::new("cert/ca_chain", "The default issuer and those above it.")
            .read(fetch::cert_chain),
        Route::new("cert/crl", "The default issuer's list.").read(fetch::cert_crl),
        Route::new("cert/{serial}", "A certificate.").read(fetch::cert),
        Route::new("cert/{serial}/raw", "A certificate, DER.").read(fetch::cert_der),
        Route::new("cert/{serial}/raw/pem", "A certificate, PEM.").read(fetch::cert_pem),
        Route::new("issuer/{issuer_ref}/json", "An issuer's certificate.").read(fetch::issuer_json),
        Route::new("issuer/{issuer_ref}/der", "An issuer's certificate, DER.")
            .read(fetch::issuer_der),
        Route::new("issuer/{issuer_ref}/pem", "An issuer's certificate, PEM.")
            .read(fetch::issuer_pem),
        Route::new("issuer/{issuer_ref}/crl", "An issuer's list.").read(fetch::issuer_crl),
        Route::new("issuer/{issuer_ref}/crl/der", "An issuer's list, DER.")
            .read(fetch::issuer_crl_der),
        Route::new("issuer/{issuer_ref}/crl/pem", "An issuer's list, PEM.")
            .read(fetch::issuer_crl_pem),
    ];
    routes.into_iter().map(Route::unauthenticated).collect()
}

#[cfg(test)]
mod tests;
