//! The whole output of all child processes of the last setup that had something to do.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// A file that is made anew at the first write, so that a setup with nothing to do keeps the old one.
pub struct SetupLog {
    path: PathBuf,
    file: Option<File>,
}

impl SetupLog {
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }
}

impl Write for SetupLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path)?),
        };
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}
