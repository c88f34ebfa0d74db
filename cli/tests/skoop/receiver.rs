//! A server on loopback that takes what is pushed, and answers as a test wants it to.

use super::skoop::shows;
use flate2::read::GzDecoder;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it answers.
#[derive(Clone)]
pub enum Reply {
    /// A status and a body.
    Status(u16, String),
    /// Nothing: it breaks off.
    Close,
    /// A status after a while.
    Late(Duration, u16),
}

impl Reply {
    pub fn status(status: u16, body: &str) -> Self {
        Self::Status(status, body.to_owned())
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Taken {
    pub path: String,
    headers: Vec<(String, String)>,
    /// As it was before it was compressed.
    pub body: Vec<u8>,
    /// It was answered well.
    well: bool,
}

impl Taken {
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(other, _)| other == name);
        header.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// The server. Its thread ends with the test.
pub struct Receiver {
    port: u16,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Receiver {
    /// `answer` is given the number of the request, from 0.
    pub fn new(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let answer = Arc::new(answer);
        let server = Self {
            port,
            taken: Arc::clone(&taken),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (taken, answer) = (Arc::clone(&taken), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &taken, &*answer));
            }
        });
        server
    }

    /// One that is reached by TLS as localhost, and takes all; with the certificate that it shows, which is signed by itself.
    pub fn secure() -> (Self, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let config = shows(&certificate, &key);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let server = Self {
            port,
            taken: Arc::clone(&taken),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let stream = StreamOwned::new(connection, stream);
                std::thread::spawn(move || serve(stream, &taken, &|_| Reply::status(204, "")));
            }
        });
        (server, certificate.pem())
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All requests.
    pub fn all(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Those that were answered well.
    pub fn taken(&self) -> Vec<Taken> {
        self.all().into_iter().filter(|taken| taken.well).collect()
    }
}

fn serve(stream: impl Read + Write, taken: &Mutex<Vec<Taken>>, answer: &dyn Fn(usize) -> Reply) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or_default() == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut request = Taken {
            path,
            headers,
            body: Vec::new(),
            well: false,
        };
        let length = request.header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        if request.header("content-encoding") == Some("gzip") {
            GzDecoder::new(&body[..]).read_to_end(&mut request.body).unwrap();
        } else {
            request.body = body;
        }
        let mut all = taken.lock().unwrap();
        let reply = answer(all.len());
        let (status, says) = match &reply {
            Reply::Status(status, says) => (*status, says.as_str()),
            Reply::Late(_, status) => (*status, ""),
            Reply::Close => (0, ""),
        };
        request.well = (200..300).contains(&status);
        all.push(request);
        drop(all);
        if let Reply::Late(after, _) = reply {
            std::thread::sleep(after);
        }
        if status == 0 {
            return;
        }
        let length = says.len();
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{says}");
        let writer = reader.get_mut();
        if writer
            .write_all(answer.as_bytes())
            .and_then(|()| writer.flush())
            .is_err()
        {
            return;
        }
    }
}
