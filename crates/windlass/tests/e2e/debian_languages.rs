//! Languages that come from the stack's Debian: Ruby, PHP and Java. They need the network.

use crate::languages::{Expected, push_twice};
use std::process::Command;
use windlass_testkit::git::Repository;

/// Words of a build that took everything from its cache.
const CACHED_PACKAGES: &str = "Using cached packages of Debian (unchanged)";

const TINY_GEM: &str = "--- !ruby/object:Gem::Specification
name: tiny
version: !ruby/object:Gem::Version
  version: '1.0'
platform: ruby
authors: [Windlass]
date: 2026-01-01 00:00:00.000000000 Z
dependencies: []
extensions: [ext/tiny/extconf.rb]
files: [ext/tiny/extconf.rb, ext/tiny/tiny.c]
require_paths: [lib]
rubygems_version: 3.3.15
specification_version: 4
summary: A gem in C
";

const TINY_C: &str = "#include <ruby.h>
static VALUE answer(VALUE self) { return INT2NUM(42); }
void Init_tiny(void) { rb_define_singleton_method(rb_define_module(\"Tiny\"), \"answer\", answer, 0); }
";

/// Runs a tool of this machine in a folder.
#[track_caller]
fn in_folder(repository: &Repository, program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).current_dir(repository.path()).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}");
}

/// A Rack-less app with a gem of its own in `vendor/cache`, which is written in C.
fn ruby_with_a_gem_in_c() -> Repository {
    let repository = Repository::of_example("ruby");
    repository.write("tiny/metadata", TINY_GEM);
    repository
        .write("tiny/ext/tiny/extconf.rb", "require \"mkmf\"\ncreate_makefile(\"tiny/tiny\")\n");
    repository.write("tiny/ext/tiny/tiny.c", TINY_C);
    repository.write("vendor/cache/.keep", "");
    in_folder(&repository, "tar", &["-czf", "tiny/data.tar.gz", "-C", "tiny", "ext"]);
    in_folder(&repository, "gzip", &["-n", "tiny/metadata"]);
    let parts = ["-C", "tiny", "metadata.gz", "data.tar.gz"];
    in_folder(&repository, "tar", &[&["-cf", "vendor/cache/tiny-1.0.gem"], &parts[..]].concat());
    in_folder(&repository, "rm", &["-r", "tiny"]);
    let change = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(repository.path().join(name)).unwrap();
        assert!(text.contains(from), "{text}");
        repository.write(name, &text.replacen(from, to, 1));
    };
    change("Gemfile", "gem \"greeting\"", "gem \"tiny\"\ngem \"greeting\"");
    change("Gemfile.lock", "  specs:\n\nPLATFORMS", "  specs:\n    tiny (1.0)\n\nPLATFORMS");
    change("Gemfile.lock", "  greeting!\n", "  greeting!\n  tiny\n");
    change("server.rb", "require \"greeting\"", "require \"greeting\"\nrequire \"tiny/tiny\"");
    change("server.rb", "#{Greeting.text}", "#{Greeting.text} #{Tiny.answer}");
    repository.commit("a gem in C");
    repository
}

#[test]
fn ruby_of_debian_is_downloaded_once() {
    let expected = Expected {
        page: "Hello from Ruby 3.1!",
        once: &["Downloading ruby ", "Installing gems with Bundler"],
        again: &[CACHED_PACKAGES, "Using cached gems (Gemfile.lock is unchanged)"],
    };
    push_twice("ruby", &Repository::of_example("ruby"), &[], &expected);
}

#[test]
fn gems_in_c_are_compiled_once_from_vendor_cache() {
    let expected = Expected {
        page: "Hello from Ruby 3.1! 42",
        once: &["Gems are taken from vendor/cache (1 there)", "Installing tiny 1.0 with native"],
        again: &["Using cached gems (Gemfile.lock is unchanged)"],
    };
    push_twice("ruby-c", &ruby_with_a_gem_in_c(), &["WINDLASS_RUBY_SOURCE=debian"], &expected);
}

#[test]
fn php_with_a_package_in_a_folder_is_served_by_nginx() {
    let expected = Expected {
        page: "Hello from PHP 8.2! /",
        once: &["Downloading php8.2-cli ", "Installing windlass/greeting (0.1.0)"],
        again: &[CACHED_PACKAGES, "Nothing to install, update or remove"],
    };
    push_twice("php", &Repository::of_example("php"), &[], &expected);
}

/// A page alone, which Apache serves by default.
#[test]
fn php_without_dependencies_is_served_by_apache() {
    let page = "<?php echo 'Hello from ', $_SERVER['SERVER_SOFTWARE'], ' on ', PHP_SAPI, '!';\n";
    let expected = Expected {
        page: "Hello from Apache on fpm-fcgi!",
        once: &["Downloading php8.2-cli "],
        again: &["PHP app detected", CACHED_PACKAGES],
    };
    push_twice("php-page", &Repository::of_files(&[("index.php", page)]), &[], &expected);
}

#[test]
fn java_is_built_by_maven_with_what_debian_has() {
    let expected = Expected {
        page: "Hello from Java 17!",
        once: &["Downloading openjdk-17-jdk-headless ", "Downloading maven "],
        again: &[CACHED_PACKAGES, "Using OpenJDK 17", "Building jar: "],
    };
    let config_vars = ["WINDLASS_JAVA_SOURCE=debian", "WINDLASS_MAVEN_REPOSITORY=debian"];
    push_twice("java", &Repository::of_example("java"), &config_vars, &expected);
}
