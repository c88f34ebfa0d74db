//! A kubeconfig as clusters in the wild have them: credentials from a program, a proxy on the way, a server whose certificate
//! bears another name. Each way is gone whole, helpers and all. Where the project's own cluster is not up (`make cluster`),
//! this test says so and passes.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::kubernetes::call::{CallEnd, call};
use tests::kubernetes::cluster::TestCluster;
use tests::kubernetes::ground::{own_cluster, stage, two_pods};
use tests::kubernetes::stage::Stage;
use tests::skoop;

const WITHIN: Duration = Duration::from_mins(1);
/// A service account that may do everything, and its binding.
const ROBOT: &str = "skoop-kubeconfig-test";

/// The robot's rights, taken back when this is dropped.
struct Robot<'a>(&'a TestCluster);

impl Drop for Robot<'_> {
    fn drop(&mut self) {
        let _ = self
            .0
            .ask(&["delete", "clusterrolebinding", ROBOT, "--ignore-not-found"]);
    }
}

/// Carries bytes both ways until either side ends.
fn carry(from: TcpStream, to: TcpStream) {
    let (mut back_from, mut back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
    let (mut from, mut to) = (from, to);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(std::net::Shutdown::Both);
    });
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

/// Listens on an address of this machine; each connection is counted and given to `serve`.
fn listen(serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    // An address that is in no certificate.
    let listener = TcpListener::bind("127.0.0.9:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if serve(client).is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (address, count)
}

/// An HTTP proxy that knows CONNECT (RFC 9110, 9.3.6) and nothing else.
fn proxy() -> (SocketAddr, Arc<AtomicUsize>) {
    listen(|mut client| {
        // A byte at a time: what follows the head is the server's.
        let mut head = BufReader::with_capacity(1, client.try_clone()?);
        let mut first = String::new();
        head.read_line(&mut first)?;
        let mut line = String::new();
        while head.read_line(&mut line)? > 2 {
            line.clear();
        }
        let Some(target) = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
            return Err(std::io::Error::other("no CONNECT"));
        };
        let server = TcpStream::connect(target)?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        carry(client, server);
        Ok(())
    })
}

struct Ground<'a> {
    stage: Stage<'a>,
    kubeconfig: Value,
    folder: tempfile::TempDir,
}

impl Ground<'_> {
    /// A whole diagnosis with a changed kubeconfig.
    fn diagnose(&self, change: impl FnOnce(&mut Value, &mut Value)) -> CallEnd {
        let mut kubeconfig = self.kubeconfig.clone();
        let (mut cluster, mut user) = (
            kubeconfig["clusters"][0]["cluster"].take(),
            kubeconfig["users"][0]["user"].take(),
        );
        change(&mut cluster, &mut user);
        kubeconfig["clusters"][0]["cluster"] = cluster;
        kubeconfig["users"][0]["user"] = user;
        let file = self.folder.path().join("kubeconfig");
        fs::write(&file, kubeconfig.to_string()).unwrap();
        let line = format!(
            "exec {} diagnose pod-to-pod a web:8080 --kubeconfig {}",
            skoop::binary().unwrap().display(),
            file.display()
        );
        call(&mut self.stage.shell(&line), "", WITHIN).unwrap()
    }
}

fn healthy(way: &str, ended: &CallEnd) {
    assert_eq!(ended.code, Some(0), "{way}: {}\n{}", ended.out, ended.err);
}

#[test]
fn every_way_to_a_cluster_that_a_kubeconfig_describes_is_gone() {
    let Some(cluster) = own_cluster() else { return };
    let stage = stage(&cluster, &two_pods("").unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("usual");
    cluster.write_kubeconfig(&file, stage.namespace()).unwrap();
    let ground = Ground {
        kubeconfig: serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap(),
        stage,
        folder,
    };
    healthy("as it is", &ground.diagnose(|_, _| {}));

    let namespace = ground.stage.namespace();
    cluster
        .ask(&["-n", namespace, "create", "serviceaccount", ROBOT])
        .unwrap();
    let _robot = Robot(&cluster);
    let account = format!("--serviceaccount={namespace}:{ROBOT}");
    cluster
        .ask(&[
            "create",
            "clusterrolebinding",
            ROBOT,
            "--clusterrole=cluster-admin",
            &account,
        ])
        .unwrap();
    let token = cluster.ask(&["-n", namespace, "create", "token", ROBOT]).unwrap();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token.trim()},
    });
    let credential_file = ground.folder.path().join("credential");
    fs::write(&credential_file, credential.to_string()).unwrap();
    let exec = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "cat", "args": [credential_file.display().to_string()],
    }});
    healthy(
        "a program gives the credentials",
        &ground.diagnose(|_, user| *user = exec),
    );
    let fails = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["-c", "echo no login today >&2; exit 7"],
    }});
    let ended = ground.diagnose(|_, user| *user = fails);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("no login today"), "{}", ended.err);

    let (address, carried) = proxy();
    let proxied = ground.diagnose(|cluster, _| cluster["proxy-url"] = format!("http://{address}").into());
    healthy("a proxy", &proxied);
    assert!(carried.load(Ordering::Relaxed) > 0, "nothing went through the proxy");

    let server = ground.kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap();
    let server = server.strip_prefix("https://").unwrap().to_owned();
    let (address, carried) = listen(move |client| {
        carry(client, TcpStream::connect(&server)?);
        Ok(())
    });
    let elsewhere = |cluster: &mut Value| cluster["server"] = format!("https://{address}").into();
    let ended = ground.diagnose(|cluster, _| elsewhere(cluster));
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("certificate"), "{}", ended.err);
    let named = ground.diagnose(|cluster, _| {
        elsewhere(cluster);
        cluster["tls-server-name"] = "kubernetes".into();
    });
    healthy("another name in the certificate", &named);
    assert!(carried.load(Ordering::Relaxed) > 0);
    ground.stage.take_down().unwrap();
}
