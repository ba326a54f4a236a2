//! The doors: Platform API, git over HTTP and SSH.
