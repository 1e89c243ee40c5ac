use super::*;

fn env(home: &Path) -> Env {
    Env::of([("HOME", home.to_str().unwrap())])
}

#[test]
fn a_token_is_kept_in_a_file_for_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".vault-token");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let helper = TokenHelper::find(&env(home.path())).unwrap();
    helper.store(&Secret::new("hvs.new".to_owned())).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hvs.new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(helper.get().unwrap().unwrap().expose(), "hvs.new");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_program_may_keep_it_instead() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("helper");
    let kept = home.path().join("kept");
    let script =
        format!("#!/bin/sh\ncase $1 in get) cat {0};; store) cat > {0};; esac\n", kept.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let config = format!("token_helper = \"/bin/sh {}\"\n", program.display());
    fs::write(home.path().join(".vault"), config).unwrap();
    let helper = TokenHelper::find(&env(home.path())).unwrap();
    helper.store(&Secret::new("hvs.new".to_owned())).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"hvs.new");
    assert_eq!(helper.get().unwrap().unwrap().expose(), "hvs.new");
}
