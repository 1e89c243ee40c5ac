//! Cryptography as a service: keys that never leave, unless they may.

mod batch;
mod encrypt;
mod export;
mod hash;
mod key;
mod keys;
mod kind;
mod material;
mod settings;
mod sign;
mod signature;

use crate::framework::{Engine, Overlap, Route};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes = [
        Route::new("keys", "List the keys.").list(keys::list),
        Route::new("keys/{name}", "Make, read or delete a key.")
            .read(keys::read)
            .write(keys::create)
            .delete(keys::delete),
        Route::new("keys/{name}/config", "Change a key's settings.").write(keys::configure),
        Route::new("keys/{name}/rotate", "Make a new version of a key.").write(keys::rotate),
        Route::new("keys/{name}/trim", "Delete old versions of a key for good.").write(keys::trim),
        Route::new("keys/{name}/soft-delete", "Put a key out of use.").delete(keys::soft_delete),
        Route::new("keys/{name}/soft-delete-restore", "Put a key to use again.")
            .write(keys::soft_delete_restore),
        Route::new("keys/{name}/import", "Import a key.").write(export::import),
        Route::new("keys/{name}/import_version", "Import a new version of an imported key.")
            .write(export::import_version),
        Route::new("wrapping_key", "The public key that keys to import are wrapped with.")
            .read(export::wrapping_key),
        Route::new("encrypt/{name}", "Encrypt, with a key that is made if it is missing.")
            .exists(encrypt::exists)
            .write(encrypt::encrypt),
        Route::new("decrypt/{name}", "Decrypt.").write(encrypt::decrypt),
        Route::new("rewrap/{name}", "Encrypt again with the newest version, without showing it.")
            .write(encrypt::rewrap),
        Route::new("datakey/{plaintext}/{name}", "A new key, encrypted with another.")
            .write(encrypt::data_key),
        Route::new("sign/{name}", "Sign.").write(sign::sign),
        Route::new("sign/{name}/{urlalgorithm}", "Sign with this hash.").write(sign::sign),
        Route::new("verify/{name}", "Verify a signature or an HMAC.").write(sign::verify),
        Route::new("verify/{name}/{urlalgorithm}", "Verify with this hash.").write(sign::verify),
        Route::new("hmac/{name}", "Compute an HMAC.").write(sign::hmac),
        Route::new("hmac/{name}/{urlalgorithm}", "Compute an HMAC with this hash.")
            .write(sign::hmac),
        Route::new("export/{type}/{name}", "All versions of an exportable key.")
            .read(export::export),
        Route::new("export/{type}/{name}/{version}", "One version of an exportable key.")
            .read(export::export),
        Route::new("byok-export/{destination}/{source}", "A key, wrapped for another system.")
            .read(export::byok_export),
        Route::new(
            "byok-export/{destination}/{source}/{version}",
            "A version of a key, wrapped for another system.",
        )
        .read(export::byok_export),
        Route::new("backup/{name}", "All of a key, as text.").read(export::backup),
        Route::new("restore", "A key from its backup.").write(export::restore),
        Route::new("restore/{name}", "A key from its backup, by another name.")
            .write(export::restore),
        Route::new("random", "Random bytes.").write(settings::random),
        Route::new("random/{source}", "Random bytes, from this source or so many.")
            .write(settings::random),
        Route::new("random/{source}/{urlbytes}", "So many random bytes.").write(settings::random),
        Route::new("hash", "Hash.").write(settings::hash),
        Route::new("hash/{urlalgorithm}", "Hash with this function.").write(settings::hash),
        Route::new("config/keys", "Settings of all keys.")
            .read(settings::read_keys)
            .write(settings::write_keys),
        Route::new("cache-config", "The cache of keys.")
            .read(settings::read_cache)
            .write(settings::write_cache),
    ];
    Engine::new("transit", "Encrypts, signs and hashes, and keeps the keys.", routes)
}

#[cfg(test)]
mod tests;
