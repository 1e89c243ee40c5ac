use super::*;

fn parsed(input: &str, arguments: &[&str]) -> Result<String, String> {
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut io = Io {
        input: &mut input.as_bytes(),
        output: &mut output,
        errors: &mut errors,
        is_output_terminal: false,
        is_input_terminal: false,
    };
    read(&mut io, &arguments)
        .map(|data| Value::Object(data).to_string())
        .map_err(|failure| failure.message)
}

#[test]
fn pairs_come_from_arguments_input_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text").display().to_string();
    let json = folder.path().join("json").display().to_string();
    fs::write(&text, "from file\n").unwrap();
    fs::write(&json, r#"{"n":12345678901234567890123}"#).unwrap();
    for (input, arguments, wanted) in [
        ("", &["a=1", "b=x=y", "c="][..], r#"{"a":"1","b":"x=y","c":""}"#),
        ("", &["a=1", "a=2", "a=3"], r#"{"a":["1","2","3"]}"#),
        ("typed", &["a=-"], r#"{"a":"typed"}"#),
        (r#"{"b":true}"#, &["a=1", "-"], r#"{"a":"1","b":true}"#),
        ("", &[&format!("a=@{text}")], r#"{"a":"from file\n"}"#),
        ("", &[&format!("@{json}")], r#"{"n":12345678901234567890123}"#),
        ("", &[r"a=\@b", r"c=\d"], r#"{"a":"@b","c":"\\d"}"#),
    ] {
        assert_eq!(parsed(input, arguments).unwrap(), wanted, "{arguments:?}");
    }
}

#[test]
fn what_is_no_pair_is_refused() {
    for (input, arguments, part) in [
        ("", &["a"][..], "format must be key=value"),
        ("[]", &["-"], "not a JSON object"),
        ("x", &["a=-", "b=-"], "only once"),
        ("", &["a=@/nowhere/at/all"], "error reading file"),
        ("", &["@/nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let message = parsed(input, arguments).unwrap_err();
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
}
