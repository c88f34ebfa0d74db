//! A helper's pod that was attached to: its standard input and output over a WebSocket. No pod is attached to a second time.
//!
//! The streams work on the runtime's own thread: a helper is kept alive while the program is busy printing.

use super::manifest::{CONTAINER, RECEIVED};
use super::run::HelperRun;
use crate::conversation::link::{ALIVE_EVERY, GOING, LinkEvent, MESSAGE_MAX_BYTES, ReplyReader, ended, request_line};
use crate::kubernetes::refusal::{Refusal, RefusalKind};
use crate::recording::Recorder;
use flate2::write::ZlibDecoder;
use kube::api::{AttachParams, AttachedProcess};
use model::protocol::{LINE_MAX_BYTES, Request};
use std::io::Write as _;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadHalf,
    SimplexStream, WriteHalf,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Between the WebSocket and us.
const BUFFER_BYTES: usize = 1 << 16;
/// Bytes that are decompressed at once: they become a thousand times as many at most.
const PIECE_BYTES: usize = 1024;
/// Bytes of a helper's last messages that are kept, to be shown when it dies.
const LAST_WORDS_BYTES: usize = 2_000;
/// How long these messages are waited for after its last line.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);
/// How often attaching is tried.
const TRIES: u32 = 5;
/// The pause between two tries.
const AGAIN: Duration = Duration::from_millis(100);
/// A shell that was sent the helper has it within this time.
const SENDING: Duration = Duration::from_secs(30);

/// The streams of a pod.
pub struct Attached {
    input: WriteHalf<SimplexStream>,
    output: BufReader<ReadHalf<SimplexStream>>,
    messages: JoinHandle<String>,
    /// Ends with the connection; why, where that is known.
    connection: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
}

/// Attaches to a running pod.
pub async fn attach(run: &HelperRun, pod: &str) -> Result<Attached, Refusal> {
    let wanted = AttachParams::default()
        .container(CONTAINER)
        .stdin(true)
        .max_stdin_buf_size(BUFFER_BYTES)
        .max_stdout_buf_size(BUFFER_BYTES);
    let api = run.pods_api();
    let mut tries = 1;
    loop {
        match run.cluster.ask(|| api.attach(pod, &wanted)).await {
            Ok(process) => return Ok(Attached::of(process, run.verbose)),
            // A kubelet may tell of a container a moment before it can be attached to; nothing was attached yet.
            Err(refused)
                if tries < TRIES
                    && matches!(
                        refused.kind,
                        RefusalKind::Failed | RefusalKind::Garbage | RefusalKind::NoSuchPath
                    ) =>
            {
                tokio::time::sleep(AGAIN).await;
                tries += 1;
            }
            Err(refused) => return Err(refused),
        }
    }
}

impl Attached {
    fn of(mut process: AttachedProcess, verbose: bool) -> Self {
        // All three were asked for; an empty one stands for a stream that ended.
        let (nothing, nowhere) = tokio::io::simplex(1);
        let input = process.stdin().unwrap_or(nowhere);
        let output = process.stdout().unwrap_or(nothing);
        let messages = tokio::spawn(keep_messages(process.stderr(), verbose));
        let status = process.take_status();
        let connection = Box::pin(async move {
            let ended = process.join().await;
            // Held until then: a connection whose last message nobody takes counts as broken.
            drop(status);
            ended.err().map(|error| error.to_string())
        });
        Self {
            input,
            output: BufReader::with_capacity(BUFFER_BYTES, output),
            messages,
            connection,
        }
    }

    /// Sends a program to the shell that waits for it.
    pub async fn send_program(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (input, output, connection) = (&mut self.input, &mut self.output, &mut self.connection);
        let mut line = String::new();
        let exchange = async {
            input.write_all(bytes).await.map_err(|error| error.to_string())?;
            input.flush().await.map_err(|error| error.to_string())?;
            output.read_line(&mut line).await.map_err(|error| error.to_string())
        };
        let why = tokio::select! {
            biased;
            done = exchange => match done {
                Ok(_) if line.trim_end() == RECEIVED => return Ok(()),
                Ok(_) => format!("it said `{}`", line.trim_end()),
                Err(error) => error,
            },
            why = connection => why.unwrap_or_else(|| "it ended".to_owned()),
            () = tokio::time::sleep(SENDING) => format!("it did not take it within {} s", SENDING.as_secs()),
        };
        let words = last_words(&mut self.messages).await;
        Err(format!(
            "the helper could not be sent to the shell of its container: {why} {words}"
        ))
    }
}

/// Carries requests and replies until either side ends it.
pub async fn converse(
    attached: Attached,
    requests: mpsc::UnboundedReceiver<Request>,
    sender: &mpsc::Sender<LinkEvent>,
    recorder: Option<Recorder>,
) {
    let Attached {
        input,
        output,
        mut messages,
        connection,
    } = attached;
    let _ = sender.send(LinkEvent::Reached).await;
    let writing = async {
        write_requests(input, requests).await;
        // The helper has read the end of its input: it may still send its last lines.
        tokio::time::sleep(GOING).await;
    };
    tokio::select! {
        () = listen(output, connection, &mut messages, sender, recorder) => {}
        () = writing => {}
    }
}

async fn write_requests(mut input: impl AsyncWrite + Unpin, mut requests: mpsc::UnboundedReceiver<Request>) {
    let mut seq = 0;
    loop {
        let say = match tokio::time::timeout(ALIVE_EVERY, requests.recv()).await {
            Ok(Some(request)) => request,
            Err(_) => Request::Alive,
            Ok(None) => break,
        };
        seq += 1;
        let Some(line) = request_line(seq, say) else { break };
        if input.write_all(&line).await.is_err() || input.flush().await.is_err() {
            break;
        }
    }
    let _ = input.shutdown().await;
}

/// Receives a helper's lines, which it was asked to compress.
async fn listen(
    mut output: impl AsyncRead + Unpin,
    mut connection: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
    messages: &mut JoinHandle<String>,
    sender: &mpsc::Sender<LinkEvent>,
    recorder: Option<Recorder>,
) {
    let mut reader = ReplyReader::of(recorder);
    let mut said = ZlibDecoder::new(Vec::new());
    let mut part = vec![0; BUFFER_BYTES];
    let mut connected = true;
    let why = 'reading: loop {
        let mut reading = std::pin::pin!(output.read(&mut part));
        let read = loop {
            tokio::select! {
                biased;
                read = &mut reading => break read.map_err(|error| error.to_string()),
                why = &mut connection, if connected => match why {
                    Some(why) => break Err(why),
                    // What it carried is still to be read.
                    None => connected = false,
                },
            }
        };
        let read = match read {
            // A connection may break behind the last line.
            Ok(0) | Err(_) if reader.is_done() => return,
            Ok(0) if said.get_ref().is_empty() => break ended(&last_words(messages).await),
            Ok(read) => read,
            Err(error) => break format!("the connection to the helper broke: {error}"),
        };
        let mut rest = &part[..read];
        loop {
            let piece;
            (piece, rest) = rest.split_at(rest.len().min(PIECE_BYTES));
            if let Err(error) = said.write_all(piece).and_then(|()| said.flush()) {
                break 'reading format!("what the helper says cannot be decompressed: {error}");
            }
            let lines = said.get_mut();
            let mut whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            if read == 0 || lines.len() - whole > LINE_MAX_BYTES {
                // The end, or no end of a line: the reader says what is wrong with it.
                whole = lines.len();
            }
            for line in lines[..whole].split_inclusive(|byte| *byte == b'\n') {
                // There is room for the reply before it is parsed.
                let room = reader.room_later(line).await;
                match reader.receive(line) {
                    Ok(Some(reply)) => {
                        if sender.send(LinkEvent::Reply(reply, room)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => {}
                    Err(why) => break 'reading why,
                }
            }
            lines.drain(..whole);
            if rest.is_empty() {
                break;
            }
        }
    };
    let _ = sender.send(reader.cut(why)).await;
}

async fn last_words(messages: &mut JoinHandle<String>) -> String {
    match tokio::time::timeout(LAST_WORDS_WITHIN, messages).await {
        Ok(Ok(words)) => words.trim().to_owned(),
        _ => String::new(),
    }
}

/// Shows what a helper writes beside its lines, where that is wanted, and keeps the beginning.
async fn keep_messages(errors: Option<impl AsyncRead + Unpin>, verbose: bool) -> String {
    let mut words = String::new();
    let Some(errors) = errors else { return words };
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut errors).take(MESSAGE_MAX_BYTES).read_until(b'\n', &mut line).await {
        let line = String::from_utf8_lossy(&std::mem::take(&mut line))
            .trim_end()
            .to_owned();
        if verbose {
            crate::render::note(&format!("helper: {line}"));
        }
        if words.len() + line.len() < LAST_WORDS_BYTES {
            words.push_str(&line);
            words.push('\n');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{LinkEvent, listen};
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use model::protocol::Reply;
    use std::io::Write as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::mpsc;

    const ALIVE: &[u8] = b"{\"seq\":1,\"say\":\"alive\"}\n";

    /// What is received of a helper that sends this, flushes it, and goes on when `then` does.
    async fn receive(says: &[u8], then: impl AsyncFnOnce(&mut mpsc::Receiver<LinkEvent>)) -> Option<LinkEvent> {
        let mut compressed = ZlibEncoder::new(Vec::new(), Compression::fast());
        compressed.write_all(says).unwrap();
        compressed.flush().unwrap();
        let (mut helper, output) = tokio::io::duplex(4096);
        helper.write_all(compressed.get_ref()).await.unwrap();
        let (sender, mut from) = mpsc::channel(16);
        let listening = tokio::spawn(async move {
            let mut messages = tokio::spawn(async { "out of memory".to_owned() });
            listen(output, Box::pin(std::future::pending()), &mut messages, &sender, None).await;
        });
        then(&mut from).await;
        drop(helper);
        listening.await.unwrap();
        from.recv().await
    }

    #[tokio::test]
    async fn what_a_helper_says_is_heard_at_once_and_not_when_it_ends() {
        let cut = receive(ALIVE, async |from| {
            assert!(matches!(from.recv().await, Some(LinkEvent::Reply(Reply::Alive, _))));
        });
        match cut.await {
            Some(LinkEvent::Cut(missing)) => assert!(missing.why.contains("out of memory"), "{missing:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_compressed_stream_that_ends_in_a_line_is_cut_there() {
        match receive(&ALIVE[..10], async |_| {}).await {
            Some(LinkEvent::Cut(missing)) => assert!(missing.why.contains("middle of line 1"), "{missing:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn noise_in_place_of_a_compressed_stream_is_told() {
        let (mut helper, output) = tokio::io::duplex(4096);
        helper.write_all(b"Segmentation fault\n").await.unwrap();
        let (sender, mut from) = mpsc::channel(16);
        let mut messages = tokio::spawn(async { String::new() });
        listen(output, Box::pin(std::future::pending()), &mut messages, &sender, None).await;
        match from.recv().await {
            Some(LinkEvent::Cut(missing)) => assert!(missing.why.contains("decompressed"), "{missing:?}"),
            other => panic!("{other:?}"),
        }
    }
}
