use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn checksums_are_read_in_any_case() {
    let digits = "0123456789abcdef".repeat(4);
    for good in [format!("SHA256:{digits}"), format!("sha256:{}", digits.to_uppercase())] {
        assert_eq!(digest_in(&good).unwrap().hex(), digits);
    }
    for bad in ["", "SHA256:", "MD5:0123", &digits] {
        assert!(matches!(digest_in(bad), Err(PlatformError::Invalid(_))), "{bad}");
    }
}

#[test]
fn a_slug_holds_the_app_alone() {
    let folder = tempfile::tempdir().unwrap();
    let says = || prepare(folder.path()).unwrap_err().to_string();
    assert!(says().contains("has no such folder"));
    std::fs::create_dir(folder.path().join("app")).unwrap();
    prepare(folder.path()).unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    assert!(says().contains("has etc"));
}

#[test]
fn its_files_are_the_apps_and_change_no_user() {
    let folder = tempfile::tempdir().unwrap();
    let (app, outside) = (folder.path().join("app"), folder.path().join("outside"));
    std::fs::create_dir(&app).unwrap();
    std::fs::write(&outside, "mine").unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(app.join("program"), "x").unwrap();
    std::fs::set_permissions(app.join("program"), std::fs::Permissions::from_mode(0o4711)).unwrap();
    symlink(&outside, app.join("link")).unwrap();
    super::super::slug_files::own(&app).unwrap();
    let of = |path: &Path| path.symlink_metadata().unwrap();
    assert_eq!(of(&app.join("program")).mode() & 0o7777, 0o755);
    assert_eq!(of(&outside).mode() & 0o7777, 0o600, "links are not followed");
    // Who runs as root can give files away.
    let given = of(&app.join("program")).uid();
    assert!(given == crate::run::APP_USER || given == of(folder.path()).uid());
    assert_eq!(of(&outside).uid(), of(folder.path()).uid());
}
