//! Whether what opens the node by itself can be reached, and opens.

use super::check::Check;
use crate::config::env::Env;
use crate::config::{Config, Seal};
use crate::server::open_seals;

/// Wraps a key that is thrown away, and unwraps it. No token is renewed.
pub(super) async fn look(config: &mut Config, env: Env<'_>, is_skipped: bool) -> Check {
    const NAME: &str = "Check Seals";
    if config.settings.seal.is_empty() {
        return Check::skipped(NAME, "The node is opened with shares: nothing opens it by itself.");
    }
    for seal in &mut config.settings.seal {
        if let Seal::Transit(transit) = seal {
            transit.disable_renewal = true;
        }
    }
    let seals = match open_seals(&config.settings.seal, env) {
        Ok(seals) => seals,
        Err(error) => {
            return Check::group(
                NAME,
                [Check::fail(
                    "Create Seals",
                    &error.to_string(),
                    "Correct that key of the `seal` block, or the variable or file that it points to.",
                )],
            );
        }
    };
    let created = Check::ok("Create Seals", "");
    if is_skipped {
        return Check::group(NAME, [created, Check::skipped("Use Seals", "-skip=autounseal")]);
    }
    let used = seals.check().await.into_iter().map(|(name, kind, outcome)| {
        let title = format!("Use Seal {name} ({})", kind.name());
        match outcome {
            Ok(()) => Check::ok(&title, "It wraps a key and unwraps it."),
            Err(error) => Check::fail(
                &title,
                &error.to_string(),
                "Without it the node stays sealed after a start. Check `address`, `token` and its \
                 policy (update on encrypt and decrypt of the key), `key_name` and `mount_path`, \
                 and that the other cluster is unsealed.",
            ),
        }
    });
    Check::group(NAME, std::iter::once(created).chain(used))
}
