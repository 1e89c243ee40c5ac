//! The end of secret ids that nobody ended: each is filed by when it expires; `tidy` looks at all.

use super::store::{
    EXPIRY_KIND, Role, SecretId, delete_secret_id, role_key, role_names, secret_id,
};
use crate::clock::Timestamp;
use crate::expiry::Outcome;
use crate::framework::{Call, NoParams, Route};
use crate::job::{Job, JobKind};
use crate::mount::MountEntry;
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("tidy/secret-id", "Take secret ids away that have expired.").write(tidy)]
}

async fn tidy(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let mount = Box::new(call.mount.clone());
    let job = Job { kind: JobKind::TidySecretIds { mount, after: String::new() } };
    let name = format!("tidy-approle-{}", call.mount.uuid);
    call.storage.beside("core/", |core| job.file(&name, core))?;
    let reply = Reply::default().warn(
        "Tidy operation successfully started. Any information from the operation will be printed \
         to the server's logs.",
    );
    Ok(Reply { status: Some(202), ..reply })
}

/// Ends a secret id whose filing is due. `namespace` is the scope of all; `id` is what follows
/// [`EXPIRY_KIND`].
///
/// # Errors
/// Where the store cannot be read.
pub fn expire(namespace: &mut Scope<'_>, id: &str, now: Timestamp) -> Result<Outcome, Error> {
    let mut parts = id.splitn(3, '.');
    let (Some(mount), Some(role), Some(digest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Error::internal(format!("a filing is no {EXPIRY_KIND}MOUNT.ROLE.DIGEST")));
    };
    namespace.narrow(&format!("logical/{mount}/"), |scope| {
        match secret_id(scope, role, digest)? {
            None => Ok(Outcome::Ended),
            Some(secret) if secret.has_expired(now) => {
                delete_secret_id(scope, role, digest, &secret)?;
                Ok(Outcome::Ended)
            }
            // Someone made the same one again.
            Some(SecretId { expires: Some(expires), .. }) => Ok(Outcome::Until(expires)),
            Some(_) => Ok(Outcome::Ended),
        }
    })
}

/// Looks at one directory of secret ids after `after`, and takes away what has expired. Returns
/// which it was; `None` where there were no more.
///
/// # Errors
/// Where the store cannot be read.
pub fn tidy_step(
    namespace: &mut Scope<'_>,
    mount: &MountEntry,
    after: &str,
    now: Timestamp,
) -> Result<Option<String>, Error> {
    namespace.narrow(&mount.storage_prefix(), |scope| {
        for name in role_names(scope)? {
            let Some(role) = scope.get_shared::<Role>(&role_key(&name))? else {
                continue;
            };
            for bucket in scope.list(&format!("secrets/{}/id", role.uuid))? {
                let bucket = bucket.trim_end_matches('/');
                let at = format!("{name}/{bucket}");
                if at.as_str() > after {
                    end_expired(scope, &role.uuid, bucket, now)?;
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    })
}

fn end_expired(
    scope: &mut Scope<'_>,
    role_uuid: &str,
    bucket: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let mut ended = 0;
    for digest in scope.list(&format!("secrets/{role_uuid}/id/{bucket}"))? {
        match secret_id(scope, role_uuid, &digest)? {
            Some(secret) if secret.has_expired(now) && ended < STEP_ENDED_MAX => {
                delete_secret_id(scope, role_uuid, &digest, &secret)?;
                ended += 1;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Of one transaction; what is left ends by its own filing.
const STEP_ENDED_MAX: usize = 1000;
