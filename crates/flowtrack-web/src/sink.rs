//! A `Write` whose bytes become the body of a response.

use std::io::{self, Write};

use axum::body::Bytes;
use tokio::sync::mpsc::Sender;

/// Collects what an export writes into chunks and hands them to an async body, at the pace of
/// the client. For threads that may block.
///
/// Dropping it without [`BodySink::finish`] cuts the transfer, so that no client takes a part for
/// the whole.
pub(crate) struct BodySink {
    chunk: Vec<u8>,
    out: Sender<io::Result<Bytes>>,
    finished: bool,
}

impl BodySink {
    /// Large enough that the channel does not matter, small enough that progress shows.
    const CHUNK: usize = 64 * 1024;

    pub fn new(out: Sender<io::Result<Bytes>>) -> Self {
        Self { chunk: Vec::with_capacity(Self::CHUNK), out, finished: false }
    }

    /// Sends what is left; the transfer is complete.
    pub fn finish(mut self) -> io::Result<()> {
        self.finished = true;
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(Self::CHUNK));
        (self.out.blocking_send(Ok(chunk.into())))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone"))
    }
}

impl Write for BodySink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= Self::CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Sends nothing before a chunk is full: some writers flush after each row.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BodySink {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.out.blocking_send(Err(io::Error::other("the export was cut short")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BodySink;
    use std::io::Write;
    use tokio::sync::mpsc;

    #[test]
    fn what_is_written_arrives_in_order() {
        let (out, mut body) = mpsc::channel(64);
        let mut sink = BodySink::new(out);
        for n in 0..50_000_u32 {
            writeln!(sink, "{n}").unwrap();
        }
        sink.finish().unwrap();
        let mut got = Vec::new();
        while let Some(chunk) = body.blocking_recv() {
            got.extend_from_slice(&chunk.unwrap());
        }
        let numbers = (0..50_000_u32).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(String::from_utf8(got).unwrap(), numbers.join("\n") + "\n");
    }

    #[test]
    fn an_unfinished_export_ends_with_an_error() {
        let (out, mut body) = mpsc::channel(1);
        let mut sink = BodySink::new(out);
        sink.write_all(b"half").unwrap();
        drop(sink);
        assert!(body.blocking_recv().unwrap().is_err());
    }

    #[test]
    fn a_client_that_has_gone_stops_the_export() {
        let (out, body) = mpsc::channel(1);
        drop(body);
        let mut sink = BodySink::new(out);
        assert!(sink.write_all(&vec![0; 2 * BodySink::CHUNK]).is_err());
    }
}
