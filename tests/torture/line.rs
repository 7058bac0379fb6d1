//! A line between a device and the server that counts what passes, and that stays where it is when the server moves.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::thread;

/// A line, for as long as the test lives.
pub(crate) struct Line {
    port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Line {
    /// Opens a line to wherever the server is.
    pub(crate) fn open(server: Arc<AtomicU16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        thread::spawn(move || {
            for device in listener.incoming().flatten() {
                // Nobody there: the device hears that its connection has ended.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server.load(Ordering::SeqCst))) else {
                    continue;
                };
                join(&device, &server, &counting);
            }
        });
        Self { port, counts }
    }

    /// Returns the address that the device is to use.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Begins to count anew.
    pub(crate) fn forget(&self) {
        self.counts.sent.store(0, Ordering::SeqCst);
        self.counts.received.store(0, Ordering::SeqCst);
    }

    /// Returns how many bytes the device sent.
    pub(crate) fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::SeqCst)
    }

    /// Returns how many bytes the device received.
    pub(crate) fn received(&self) -> u64 {
        self.counts.received.load(Ordering::SeqCst)
    }
}

fn join(device: &TcpStream, server: &TcpStream, counts: &Arc<Counts>) {
    let both = |stream: &TcpStream| stream.try_clone().unwrap();
    let (up, down) = ((both(device), both(server)), (both(server), both(device)));
    let (sending, receiving) = (Arc::clone(counts), Arc::clone(counts));
    thread::spawn(move || pass(up.0, up.1, &sending.sent));
    thread::spawn(move || pass(down.0, down.1, &receiving.received));
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        count.fetch_add(length as u64, Ordering::SeqCst);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // Whichever end has gone, the other hears of it; it may have gone as well.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
