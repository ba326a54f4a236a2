//! Certificates: what the router has after each change, and that a failed change is undone.

use std::collections::BTreeMap;
use windlass_control::certificates::PrivateCertificates;
use windlass_control::records::App;
use windlass_control::{PlatformError, Settings};
use windlass_core::certificate::{Origin, details};
use windlass_testkit::platform::TestPlatform;

/// Returns a certificate for these names and its key.
fn made(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn add_domain(test: &TestPlatform, app: &App, domain: &str) {
    let _ = test.block_on(test.platform().add_domain(&test.user, app, domain)).unwrap();
}

/// Returns which chain the router shows for each host; `*` is the default one.
fn shown(test: &TestPlatform) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    for certificate in test.router.certificates() {
        for host in &certificate.hosts {
            assert!(shown.insert(host.clone(), certificate.chain_pem.clone()).is_none(), "{host}");
        }
        if certificate.is_default {
            shown.insert("*".to_owned(), certificate.chain_pem);
        }
    }
    shown
}

fn only_of(chain: &str, hosts: &[&str]) -> BTreeMap<String, String> {
    hosts.iter().map(|host| ((*host).to_owned(), chain.to_owned())).collect()
}

#[test]
fn an_imported_certificate_is_shown_until_it_is_removed() {
    let mut test = TestPlatform::open();
    let app = test.create_app("bibly");
    add_domain(&test, &app, "www.example.com");
    let (chain, key) = made(&["www.example.com", "other.example.com"]);
    let platform = test.platform();
    let added = test.block_on(platform.add_certificate(&test.user, &app, &chain, &key));
    let (view, warnings) = added.unwrap();
    assert_eq!(view.hosts, ["www.example.com"]);
    assert!(view.certificate.name.starts_with("www-example-com-"), "{}", view.certificate.name);
    assert!(warnings.iter().any(|warning| warning.contains("named other.example.com")));
    assert_eq!(shown(&test), only_of(&chain, &["www.example.com"]));
    let again = test.block_on(platform.add_certificate(&test.user, &app, &chain, &key));
    assert!(matches!(again, Err(PlatformError::Invalid(said)) if said.contains("certs:update")));
    // Hosts that come later are served with it too, and after a restart of the server all are.
    add_domain(&test, &app, "other.example.com");
    let both = only_of(&chain, &["www.example.com", "other.example.com"]);
    assert_eq!(shown(&test), both);
    drop(platform);
    test.crash_and_open();
    assert_eq!(shown(&test), both);
    let (newer, newer_key) = made(&["www.example.com"]);
    let name = view.certificate.name;
    let platform = test.platform();
    let updated =
        test.block_on(platform.update_certificate(&test.user, &app, &name, &newer, &newer_key));
    assert_eq!(updated.unwrap().0.certificate.id, view.certificate.id);
    assert_eq!(shown(&test), only_of(&newer, &["www.example.com"]));
    test.block_on(platform.remove_certificate(&test.user, &app, "www.example.com")).unwrap();
    assert_eq!(shown(&test), BTreeMap::new());
    let gone = test.block_on(platform.remove_certificate(&test.user, &app, &name));
    assert!(matches!(gone, Err(PlatformError::NotFound { .. })));
}

#[test]
fn a_change_that_the_router_refuses_is_undone() {
    let test = TestPlatform::open();
    let app = test.create_app("bibly");
    add_domain(&test, &app, "www.example.com");
    let (platform, (chain, key)) = (test.platform(), made(&["www.example.com"]));
    let names = || {
        let views = platform.app_certificates(&app).unwrap();
        views.into_iter().map(|view| view.details.names).collect::<Vec<_>>()
    };
    test.router.refuse_certificates(true);
    let refused = test.block_on(platform.add_certificate(&test.user, &app, &chain, &key));
    assert!(matches!(refused, Err(PlatformError::Internal(..))));
    assert_eq!(names(), Vec::<Vec<String>>::new());
    test.router.refuse_certificates(false);
    let added = test.block_on(platform.add_certificate(&test.user, &app, &chain, &key)).unwrap();
    let name = added.0.certificate.name;
    test.router.refuse_certificates(true);
    let (newer, newer_key) = made(&["www.example.com", "more.example.com"]);
    let updated =
        test.block_on(platform.update_certificate(&test.user, &app, &name, &newer, &newer_key));
    assert!(updated.is_err());
    assert_eq!(names(), [["www.example.com"]]);
    let removed = test.block_on(platform.remove_certificate(&test.user, &app, &name));
    assert!(removed.is_err());
    assert_eq!(names(), [["www.example.com"]]);
    test.router.refuse_certificates(false);
    test.block_on(platform.sync_routes()).unwrap();
    assert_eq!(shown(&test), only_of(&chain, &["www.example.com"]));
}

#[test]
fn issued_certificates_replace_their_predecessor_and_go_with_the_app() {
    let test = TestPlatform::open();
    let app = test.create_app("bibly");
    add_domain(&test, &app, "www.example.com");
    let platform = test.platform();
    let names = ["www.example.com".to_owned()];
    let put = |app, names: &[String], chain: &str, key: &str| {
        test.block_on(platform.put_certificate(app, Origin::Acme, names, chain, key))
    };
    let (first, first_key) = made(&["www.example.com"]);
    let (second, second_key) = made(&["www.example.com"]);
    put(Some(app.id), &names, &first, &first_key).unwrap();
    assert_eq!(put(Some(app.id), &names, &second, &second_key).unwrap(), details(&second).unwrap());
    assert_eq!(platform.app_certificates(&app).unwrap().len(), 1);
    assert_eq!(shown(&test), only_of(&second, &["www.example.com"]));
    let wrong = put(Some(app.id), &["other.example.com".to_owned()], &second, &second_key);
    assert!(matches!(wrong, Err(PlatformError::Invalid(_))));
    // What somebody brings goes before, unless somebody chooses otherwise.
    let (imported, imported_key) = made(&["*.example.com"]);
    let added = platform.add_certificate(&test.user, &app, &imported, &imported_key);
    let imported_name = test.block_on(added).unwrap().0.certificate.name;
    assert_eq!(shown(&test), only_of(&imported, &["www.example.com"]));
    let issued = platform.app_certificates(&app).unwrap().remove(0).certificate.name;
    let choose = |wanted: Option<&str>| {
        let domain = "www.example.com";
        test.block_on(platform.choose_domain_certificate(&test.user, &app, domain, wanted))
    };
    choose(Some(&issued)).unwrap();
    assert_eq!(shown(&test), only_of(&second, &["www.example.com"]));
    choose(None).unwrap();
    assert_eq!(shown(&test), only_of(&imported, &["www.example.com"]));
    let update = platform.update_certificate(&test.user, &app, &issued, &first, &first_key);
    assert!(matches!(test.block_on(update), Err(PlatformError::Invalid(_))), "not imported");
    // The platform's own is the default and for the apps' own hosts.
    let (wildcard, wildcard_key) = made(&["*.localhost"]);
    put(None, &["*.localhost".to_owned()], &wildcard, &wildcard_key).unwrap();
    let mut expected = only_of(&imported, &["www.example.com"]);
    expected.extend(only_of(&wildcard, &["*", "bibly.localhost"]));
    assert_eq!(shown(&test), expected);
    assert!(platform.app_url(&app).starts_with("https://bibly.localhost:8443/"));
    assert!(choose(Some(&imported_name)).is_ok());
    test.block_on(platform.destroy_app(&test.user, &app, false)).unwrap();
    assert_eq!(shown(&test), only_of(&wildcard, &["*"]));
}

fn with_private_names(settings: &mut Settings) {
    settings.private_certificates = PrivateCertificates::PrivateNames;
}

#[test]
fn private_names_get_certificates_by_themselves() {
    let mut test = TestPlatform::open_with(with_private_names);
    let app = test.create_app("bibly");
    let private = shown(&test)["bibly.localhost"].clone();
    assert_eq!(shown(&test), only_of(&private, &["bibly.localhost"]));
    assert!(test.platform().app_url(&app).starts_with("http://"), "nobody has the root yet");
    add_domain(&test, &app, "shop.test");
    add_domain(&test, &app, "www.example.com");
    let both = shown(&test)["shop.test"].clone();
    assert_ne!(both, private, "issued anew for both");
    assert_eq!(shown(&test), only_of(&both, &["bibly.localhost", "shop.test"]));
    let root = test.platform().certificate_authority().unwrap();
    assert!(details(&both).unwrap().issuer.starts_with("/O=Windlass/CN=Windlass authority "));
    test.crash_and_open();
    assert_eq!(shown(&test), only_of(&both, &["bibly.localhost", "shop.test"]), "kept");
    assert_eq!(test.platform().certificate_authority().unwrap().fingerprint, root.fingerprint);
    // One that somebody brings takes its place.
    let (chain, key) = made(&["shop.test"]);
    let platform = test.platform();
    let added = test.block_on(platform.add_certificate(&test.user, &app, &chain, &key));
    let _ = added.unwrap();
    assert_eq!(shown(&test)["shop.test"], chain);
    let views = platform.app_certificates(&app).unwrap();
    let private = views.iter().find(|view| view.certificate.origin == Origin::Private).unwrap();
    assert_eq!(private.details.names, ["bibly.localhost"]);
    let name = &private.certificate.name;
    let removed = test.block_on(platform.remove_certificate(&test.user, &app, name));
    assert!(matches!(removed, Err(PlatformError::Invalid(_))));
}
