//! Standard input as a source of lines. It cannot be read twice, so it has no checkpoint: what was read and
//! not shipped when the process dies is lost.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::lines::split;
use super::sink::Line;

/// Reads `input` to its end in batches; one batch waits while another is under way.
pub fn lines(
    mut input: impl AsyncRead + Unpin + Send + 'static,
    line_limit: usize,
    batch_lines: usize,
) -> mpsc::Receiver<Vec<Line>> {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        let path: Arc<Path> = Path::new("-").into();
        let mut held = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        let mut skipping = false;
        loop {
            let n = match input.read(&mut chunk).await {
                Ok(n) => n,
                Err(error) => {
                    tracing::warn!("standard input: {error}; taken as its end");
                    0
                }
            };
            held.extend_from_slice(&chunk[..n]);
            loop {
                let found = split(&held, skipping, line_limit, batch_lines, n == 0);
                skipping = found.skipping;
                let batch: Vec<Line> = found
                    .lines
                    .iter()
                    .map(|line| Line {
                        path: Arc::clone(&path),
                        value: Bytes::copy_from_slice(&held[line.range.clone()]),
                        cut: line.cut,
                    })
                    .collect();
                held.drain(..found.consumed);
                for _ in batch.iter().filter(|line| line.cut) {
                    tracing::warn!(
                        "standard input: a line longer than {line_limit} bytes; only its beginning is shipped"
                    );
                }
                let full = batch.len() == batch_lines;
                if !batch.is_empty() && send.send(batch).await.is_err() {
                    return;
                }
                if !full {
                    break;
                }
            }
            if n == 0 {
                return;
            }
        }
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_whatever_the_reads() {
        let (mut write, read) = tokio::io::duplex(7);
        let mut lines = lines(read, 20, 3);
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let text =
                "one\r\ntwo\n\nvier \u{1f600}\n0123456789012345678901234567890123456789\nlast";
            write.write_all(text.as_bytes()).await.unwrap();
        });
        let mut all = Vec::new();
        while let Some(batch) = lines.recv().await {
            assert!(batch.len() <= 3);
            all.extend(
                batch
                    .into_iter()
                    .map(|l| (String::from_utf8(l.value.to_vec()).unwrap(), l.cut)),
            );
        }
        let plain = |s: &str| (s.to_owned(), false);
        assert_eq!(
            all,
            [
                plain("one"),
                plain("two"),
                plain(""),
                plain("vier \u{1f600}"),
                ("01234567890123456789".to_owned(), true),
                plain("last"),
            ]
        );
    }
}
