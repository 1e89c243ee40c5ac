//! The end of secret ids that nobody ended: each is filed by when it expires; `tidy` looks at all.

use super::store::{
    EXPIRY_KIND, Role, SecretId, delete_secret_id, role_key, secret_id, secret_ids_directory,
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

/// Looks at some secret ids, those after `after`, and takes away what has expired. Returns where
/// the next step is to go on; `None` where there are no more.
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
        let mut at = Place::parse(after);
        let mut ids_left = STEP_IDS_MAX;
        for _ in 0..STEP_PAGES_MAX {
            if ids_left == 0 {
                break;
            }
            let Some(looked_at) = at.go_on(scope, ids_left, now)? else {
                return Ok(None);
            };
            ids_left = ids_left.saturating_sub(looked_at);
        }
        Ok(Some(at.text()))
    })
}

/// How far tidying has come, in the store's own order: going on costs the same wherever that is.
struct Place {
    /// Empty before the first.
    role: String,
    /// One of the role's directories, with a slash at its end; empty where the role is done.
    bucket: String,
    /// The last that was looked at in it; empty before the first.
    digest: String,
}

impl Place {
    /// No name holds a slash.
    fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, '/');
        let role = parts.next().unwrap_or_default().to_owned();
        let bucket = parts.next().map(|name| format!("{name}/")).unwrap_or_default();
        let digest = parts.next().unwrap_or_default().to_owned();
        Self { role, bucket, digest }
    }

    fn text(&self) -> String {
        let slash = if self.bucket.is_empty() { "" } else { "/" };
        format!("{}{slash}{}{}", self.role, self.bucket, self.digest)
    }

    /// Looks at up to `ids_max` of a directory, or moves on to the next role; how many it has
    /// looked at. `None` where there are no more roles.
    fn go_on(
        &mut self,
        scope: &mut Scope<'_>,
        ids_max: usize,
        now: Timestamp,
    ) -> Result<Option<usize>, Error> {
        if self.bucket.is_empty() {
            let after = Some(self.role.as_str()).filter(|name| !name.is_empty());
            let Some(name) = scope.page("role", after, 1)?.names.pop() else {
                return Ok(None);
            };
            self.role = name;
        }
        let Some(role) = scope.get_shared::<Role>(&role_key(&self.role))? else {
            self.bucket.clear();
            self.digest.clear();
            return Ok(Some(0));
        };
        let directory = secret_ids_directory(&role.uuid);
        let mut looked_at = 0;
        let mut is_last = true;
        if !self.bucket.is_empty() {
            let after = Some(self.digest.as_str()).filter(|name| !name.is_empty());
            let page = scope.page(&format!("{directory}/{}", self.bucket), after, ids_max)?;
            looked_at = page.names.len();
            is_last = page.is_last;
            for digest in page.names {
                end_expired(scope, &role.uuid, &digest, now)?;
                self.digest = digest;
            }
        }
        if is_last {
            let after = Some(self.bucket.as_str()).filter(|name| !name.is_empty());
            self.bucket = scope.page(&directory, after, 1)?.names.pop().unwrap_or_default();
            self.digest.clear();
        }
        Ok(Some(looked_at))
    }
}

fn end_expired(
    scope: &mut Scope<'_>,
    role_uuid: &str,
    digest: &str,
    now: Timestamp,
) -> Result<(), Error> {
    match secret_id(scope, role_uuid, digest)? {
        Some(secret) if secret.has_expired(now) => {
            delete_secret_id(scope, role_uuid, digest, &secret)
        }
        _ => Ok(()),
    }
}

/// Looked at in one step.
const STEP_IDS_MAX: usize = 1000;

/// Of one step: most directories may be empty, or hold little.
const STEP_PAGES_MAX: usize = 64;
