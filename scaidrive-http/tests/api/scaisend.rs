//! No ScaiSend can be had here: a small server of the tests' own takes its place and records.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// What the recorder was sent.
pub(crate) struct Sent {
    pub(crate) request_line: String,
    pub(crate) authorization: String,
    pub(crate) key: String,
    pub(crate) body: Value,
}

struct Desk {
    statuses: Mutex<std::slice::Iter<'static, u16>>,
    /// How long it takes over a mail.
    takes: Duration,
    sender: Sender<Sent>,
}

/// Answers with these statuses in turn, then with 202; returns its address and what it is sent.
pub(crate) fn recorder(statuses: &'static [u16]) -> (String, Receiver<Sent>) {
    recorder_that_takes(Duration::ZERO, statuses)
}

/// The same, where each answer takes a while from when the mail was taken down.
pub(crate) fn recorder_that_takes(takes: Duration, statuses: &'static [u16]) -> (String, Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, sent) = channel();
    let desk = Arc::new(Desk { statuses: Mutex::new(statuses.iter()), takes, sender });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (desk, stream) = (Arc::clone(&desk), stream.unwrap());
            std::thread::spawn(move || desk.serve(stream));
        }
    });
    (address, sent)
}

impl Desk {
    /// Takes one mail down and answers; a sender that dies meanwhile is nobody's fault.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let Some(sent) = read(&mut reader) else { return };
        let status = *self.statuses.lock().unwrap().next().unwrap_or(&202);
        // Whoever wanted to hear of it may have gone.
        let _ = self.sender.send(sent);
        std::thread::sleep(self.takes);
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = reader.get_mut().write_all(answer.as_bytes());
    }
}

/// Reads a request; nothing where it was cut short.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Sent> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let mut fields = lines.iter().filter_map(|line| line.split_once(": "));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Sent {
        authorization: header("authorization").unwrap_or_default(),
        key: header("idempotency-key").unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap(),
        request_line: lines.swap_remove(0),
    })
}

/// Returns the variables that make a server send its mail there.
pub(crate) fn settings(url: &str) -> [(&str, &str); 4] {
    [
        ("SCAIDRIVE_SCAISEND_URL", url),
        ("SCAIDRIVE_SCAISEND_API_KEY", "key-of-the-test"),
        ("SCAIDRIVE_MAIL_FROM", "drive@example.org"),
        ("SCAIDRIVE_PUBLIC_URL", "https://drive.example"),
    ]
}
