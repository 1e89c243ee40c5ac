//! Templates in addresses, as go-sockaddr writes them: `{{ GetPrivateIP }}:8200`.
//!
//! A template is a source of interfaces and filters behind `|`, the last of which makes text:
//! `{{ GetAllInterfaces | include "network" "10.0.0.0/8" | sort "size" | attr "address" }}`.
//! The interfaces are passed in, so the answer depends on nothing else.

mod interface;
mod rfc;
mod stage;

#[cfg(test)]
mod tests;

pub use interface::Interface;

/// `text` with each `{{ … }}` replaced. A template must give exactly one address: none, or
/// several joined, is an error, as it is in Vault.
pub fn expand(text: &str, interfaces: &[Interface]) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((template, after)) = after.split_once("}}") else {
            return Err("`{{` is never closed".to_owned());
        };
        let template = template.trim_start_matches('-').trim_end_matches('-').trim();
        expanded.push_str(before);
        expanded.push_str(&run(template, interfaces)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded.trim().to_owned())
}

/// What a stage hands to the next.
enum Yield<'a> {
    Interfaces(Vec<&'a Interface>),
    Text(String),
}

fn run(template: &str, interfaces: &[Interface]) -> Result<String, String> {
    let mut stages = stage::parse(template)?.into_iter();
    let first = stages.next().ok_or_else(|| "`{{ }}` holds no template".to_owned())?;
    let mut current = first.source(interfaces)?;
    for stage in stages {
        current = match current {
            Yield::Interfaces(list) => stage.apply(list)?,
            Yield::Text(_) => {
                return Err(format!("`{}` cannot follow text", stage.name));
            }
        };
    }
    match current {
        Yield::Text(text) if text.is_empty() => {
            Err(format!("`{{{{ {template} }}}}` matches no address of this machine"))
        }
        Yield::Text(text) if text.contains(' ') => {
            Err(format!("`{{{{ {template} }}}}` gives several addresses: {text}"))
        }
        Yield::Text(text) => Ok(text),
        Yield::Interfaces(_) => {
            Err(format!("`{{{{ {template} }}}}` must end in `attr \"address\"` or `join`"))
        }
    }
}
