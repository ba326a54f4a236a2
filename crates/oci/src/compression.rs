//! What layers and archives are compressed with, told by how they begin.

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Read};

/// So many bytes tell how a stream is compressed.
pub(crate) const TELLING: u64 = 4;
/// The largest window of zstd: so much memory a stream may ask for. The same as the limit of the
/// `zstd` program and of libzstd (`--long=27`).
const MOST_WINDOW: u64 = 128 << 20;

/// Whether a stream that begins like this is compressed with gzip or zstd.
pub(crate) fn is_compressed(start: &[u8]) -> bool {
    is_gzip(start) || is_zstd(start)
}

fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// A frame, or one to be skipped: some tools begin with such.
fn is_zstd(start: &[u8]) -> bool {
    matches!(start, [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

/// Returns what `source` holds, decompressed if it begins with `start` as compressed streams do.
/// How much comes out is for the reader to limit.
pub(crate) fn decompressed<'a>(start: &[u8], source: impl Read + 'a) -> Box<dyn Read + 'a> {
    if is_gzip(start) {
        Box::new(MultiGzDecoder::new(source))
    } else if is_zstd(start) {
        Box::new(Zstd::new(source))
    } else {
        Box::new(source)
    }
}

/// Decodes the frames of a zstd stream one after the other. Their checksums are not looked at:
/// what comes out is compared with a digest.
struct Zstd<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
}

impl<R: Read> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MOST_WINDOW);
        Self { source: BufReader::new(source), decoder }
    }

    /// Begins the next frame that holds something; returns false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.source.by_ref().take(length.into());
                    if io::copy(&mut skipped, &mut io::sink())? < length.into() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => {
                    return Err(io::Error::other(format!(
                        "its zstd window of {} MiB is larger than {} MiB",
                        requested >> 20,
                        MOST_WINDOW >> 20
                    )));
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(io::Error::other)?;
            } else if !self.next_frame()? {
                return Ok(0);
            }
        }
        self.decoder.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    /// `hello world, hello world\n` as the program `zstd` packs it (version 1.5.4, with a checksum).
    const OF_ZSTD: &[u8] = include_bytes!("../fuzz/hello.zst");

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompressed(&bytes[..bytes.len().min(4)], bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    fn pack(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn to_be_skipped(length: u32, content: &[u8]) -> Vec<u8> {
        let magic: &[u8] = &[0x53, 0x2a, 0x4d, 0x18];
        [magic, &length.to_le_bytes(), content].concat()
    }

    #[test]
    fn each_kind_is_told_by_its_beginning() {
        assert_eq!(read(b"plain").unwrap(), b"plain");
        assert_eq!(read(b"").unwrap(), b"");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"packed").unwrap();
        assert_eq!(read(&gzip.finish().unwrap()).unwrap(), b"packed");
        assert_eq!(read(OF_ZSTD).unwrap(), b"hello world, hello world\n");
        let long: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 700) as u8).collect();
        assert_eq!(read(&pack(&long)).unwrap(), long);
    }

    #[test]
    fn frames_follow_each_other_and_some_are_skipped() {
        let skipped = to_be_skipped(3, b"abc");
        let all = [&skipped[..], &pack(b"one "), &skipped, &skipped, OF_ZSTD, &pack(b""), &skipped];
        assert_eq!(read(&all.concat()).unwrap(), b"one hello world, hello world\n");
    }

    #[test]
    fn what_is_cut_or_damaged_is_an_error() {
        let frame = pack(&[7; 5_000]);
        for length in [5, 9, frame.len() - 1] {
            assert!(read(&frame[..length]).is_err(), "{length}");
        }
        assert!(read(&to_be_skipped(1 << 30, b"abc")).is_err());
        assert!(read(&[OF_ZSTD, b"garbage"].concat()).is_err());
        let mut changed = OF_ZSTD.to_vec();
        changed[8] ^= 0xff;
        assert!(read(&changed).is_err_and(|error| !error.to_string().is_empty()));
    }

    #[test]
    fn a_window_may_not_ask_for_any_memory() {
        // The third byte is the window: 2 to the power of 10 and its upper five bits.
        let of_window = |log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 1, 0, 0];
        assert_eq!(read(&of_window(27)).unwrap(), b"");
        for log in [28, 41] {
            let error = read(&of_window(log)).unwrap_err().to_string();
            assert!(error.contains("larger than 128 MiB"), "{error}");
        }
        // A frame in one segment needs as much as it says that it holds.
        let mut one_segment = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        one_segment.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&one_segment).unwrap_err().to_string().contains("larger than 128 MiB"));
    }
}
