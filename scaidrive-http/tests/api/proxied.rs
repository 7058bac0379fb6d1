//! Behind a real nginx with the shipped configuration: large files, ranges, HTTP/2, and sockets that are silent for long.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::{Certificate, Version};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::Message;

use crate::databases::var;
use crate::server::{Server, noise, sha256};
use crate::sockets::client::Client;

/// The host of the shipped configuration.
const HOST: &str = "drive.example.com";

/// nginx in front of a server, by its shipped configuration but for places and ports.
struct Nginx {
    process: Child,
    dir: tempfile::TempDir,
    /// Where it speaks TLS.
    tls: SocketAddr,
    /// Where it does not: added for clients of tests that cannot.
    plain: SocketAddr,
}

impl Nginx {
    /// Starts it, unless there is none here.
    async fn before(server: &Server) -> Option<Self> {
        let Some(program) = var("NGINX") else {
            eprintln!("SKIPPED: SCAIDRIVE_TEST_NGINX is not set");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let (tls, plain) = (free_address(), free_address());
        configure(dir.path(), server, tls, plain);
        let main = dir.path().join("nginx.conf");
        let process = Command::new(program).arg("-p").arg(dir.path()).arg("-c").arg(main).spawn().unwrap();
        let nginx = Self { process, dir, tls, plain };
        while tokio::net::TcpStream::connect(nginx.plain).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(nginx)
    }

    /// Returns a client that trusts its certificate and finds it under its name.
    fn client(&self) -> reqwest::Client {
        let root = std::fs::read(self.dir.path().join(format!("{HOST}.pem"))).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([Certificate::from_pem(&root).unwrap()]);
        builder.resolve(HOST, self.tls).build().unwrap()
    }

    /// Returns the address of a path of the API.
    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}/api/v1{path}", self.tls.port())
    }

    /// Returns how many files or folders it made for what passed through.
    fn kept(&self) -> usize {
        let kinds = std::fs::read_dir(self.dir.path().join("temp")).unwrap();
        kinds.map(|kind| std::fs::read_dir(kind.unwrap().path()).unwrap().count()).sum()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _sent = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ended = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn configure(dir: &Path, server: &Server, tls: SocketAddr, plain: SocketAddr) {
    let (key, certificate) = (dir.join(format!("{HOST}.key")), dir.join(format!("{HOST}.pem")));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=drive.example.com",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:drive.example.com",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let here = dir.to_str().unwrap();
    let shipped = include_str!("../../../deploy/nginx.conf");
    let redirect = free_address();
    let lines = shipped.lines().filter(|line| {
        !["listen [::]", "server 10.0.0.12", "server 10.0.0.13"]
            .iter()
            .any(|left_out| line.contains(left_out))
    });
    let placed = lines.collect::<Vec<_>>().join("\n");
    let placed = placed
        .replace("listen 80;", &format!("listen {redirect};"))
        .replace("listen 443 ssl http2;", &format!("listen {tls} ssl http2;\nlisten {plain};"))
        .replace("10.0.0.11:8000", server.url.strip_prefix("http://").unwrap())
        .replace("/etc/nginx/tls", here)
        .replace("/var/log/nginx", here);
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    std::fs::create_dir(dir.join("temp")).unwrap();
    let temp: String = kinds.iter().map(|kind| format!("{kind}_temp_path {here}/temp/{kind};\n")).collect();
    let main = format!(
        "daemon off; pid {here}/pid; error_log {here}/error.log;\nevents {{}}\nhttp {{\n{temp}{placed}\n}}\n"
    );
    std::fs::write(dir.join("nginx.conf"), main).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_gigabyte_goes_up_and_down_through_nginx() {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: usize = 1100;
    let server = Server::start();
    let Some(nginx) = Nginx::before(&server).await else { return };
    let share = server.share("Projects").await;
    let id = server.upload(&share, None, "large.bin", "small").await.created().id();
    let (client, path) = (nginx.client(), nginx.url(&format!("/files/{id}/content")));
    // Blocks that differ in their numbers alone: what counts is what passes through, and most is stored once.
    let base = noise(3, BLOCK);
    let numbered = base.clone();
    let blocks = (0..BLOCKS).map(move |number| {
        let mut block = numbered.clone();
        block[..8].copy_from_slice(&(number as u64).to_be_bytes());
        block
    });
    let whole = blocks.clone().fold(Sha256::new(), Sha256::chain_update).finalize();
    let body = reqwest::Body::wrap_stream(stream::iter(blocks.map(Ok::<_, std::io::Error>)));
    let put = client.put(&path).bearer_auth(&server.token).header("content-type", "application/octet-stream");
    let put = put.body(body).send().await.unwrap();
    assert_eq!((put.status().as_u16(), put.version()), (200, Version::HTTP_2));
    let got = client.get(&path).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(got.content_length(), Some((BLOCKS * BLOCK) as u64));
    let mut down = (Sha256::new(), got.bytes_stream());
    while let Some(bytes) = down.1.next().await {
        down.0.update(bytes.unwrap());
    }
    assert_eq!(down.0.finalize(), whole);
    let (from, to) = (700 * BLOCK, 702 * BLOCK - 1);
    let part = client.get(&path).bearer_auth(&server.token).header("range", format!("bytes={from}-{to}"));
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), 206);
    let expected = format!("bytes {from}-{to}/{}", BLOCKS * BLOCK);
    assert_eq!(part.headers()["content-range"], expected.as_str());
    let part = part.bytes().await.unwrap();
    assert_eq!(
        (part.len(), &part[..8], &part[BLOCK..BLOCK + 8]),
        (2 * BLOCK, &700_u64.to_be_bytes()[..], &701_u64.to_be_bytes()[..])
    );
    let (mut first, mut rest) = (base, part);
    first[..8].copy_from_slice(&700_u64.to_be_bytes());
    assert_eq!(sha256(&rest.split_to(BLOCK)), sha256(&first));
    assert_eq!(nginx.kept(), 0, "nginx writes nothing down");
    server.stop_and_check().await;
}

/// Listens for as long as nothing but pings comes.
async fn pings_alone(client: &mut Client) {
    loop {
        let message = client.0.next().await;
        assert!(matches!(message, Some(Ok(Message::Ping(_)))), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_are_silent_for_more_than_a_minute_go_on_through_nginx() {
    let mut server = Server::start();
    let Some(nginx) = Nginx::before(&server).await else { return };
    let direct = std::mem::replace(&mut server.url, format!("http://{}", nginx.plain));
    let share = server.share("Projects").await;
    let token = server.token.clone();
    let (mut follower, mut watcher) =
        (Client::follow(&server, &token, "laptop").await, Client::watch(&server, &token, &share).await);
    // nginx's own limit is 60 s. Clients answer the server's pings meanwhile, as every library of sockets does.
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(65)) => {}
        () = pings_alone(&mut follower) => {}
        () = pings_alone(&mut watcher) => {}
    }
    server.upload(&share, None, "late.txt", "x").await.created();
    assert_eq!(follower.hear("change").await["data"]["new_path"], "/late.txt");
    assert_eq!(watcher.hear("file_created").await["data"]["path"], "/late.txt");
    server.url = direct;
    server.stop_and_check().await;
}
