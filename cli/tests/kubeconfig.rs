//! A kubeconfig that leads nowhere is an error that names what is there, never a way to another cluster.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod skoop;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConnection;
use skoop::{Run, shows, skoop};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

const ASK: &str = "diagnose pod-to-pod shop/web shop/db:80";

/// Two contexts of one cluster; nobody listens there.
const TWO: &str = "\
apiVersion: v1
kind: Config
current-context: staging
contexts:
- {name: staging, context: {cluster: main, user: robot, namespace: shop}}
- {name: production, context: {cluster: main, user: human}}
clusters:
- {name: main, cluster: {server: 'https://127.0.0.1:1'}}
users:
- {name: robot, user: {token: t}}
- {name: human, user: {token: t}}
";

/// Runs the program in a pod, as far as it can tell, with this kubeconfig in the environment.
fn run(arguments: &str, kubeconfig: &Path) -> Run {
    let mut command = skoop(arguments);
    command
        .env("KUBECONFIG", kubeconfig)
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "1");
    Run::of(command.output().unwrap())
}

#[test]
fn entries_that_are_not_there_are_told_with_near_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, TWO).unwrap();
    let run = |more: &str| run(&format!("{ASK} {more}"), &file);
    run("--context stagin").refused(2, "no context `stagin`; did you mean `staging`?");
    run("--context elsewhere").refused(2, "(contexts: staging, production)");
    run("--cluster mian").refused(2, "no cluster `mian`; did you mean `main`?");
    run("--user robt").refused(2, "no user `robt`; did you mean `robot`?");
    run("--context production").refused(3, "context production");
}

#[test]
fn a_file_that_cannot_be_read_is_never_replaced_by_another_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(ASK, &at("none")).refused(2, "KUBECONFIG names");
    std::fs::write(at("empty"), "\n").unwrap();
    run(ASK, &at("empty")).refused(2, "is empty");
    std::fs::write(at("noise"), "contexts: [[[\n").unwrap();
    run(ASK, &at("noise")).refused(2, "reading the kubeconfig");
    std::fs::write(at("bare"), TWO.replace("current-context: staging\n", "")).unwrap();
    run(ASK, &at("bare")).refused(2, "no current context");
    std::fs::write(at("torn"), TWO.replace("cluster: main,", "cluster: gone,")).unwrap();
    run(ASK, &at("torn")).refused(2, "no cluster `gone`");
    let named = format!("{ASK} --kubeconfig {}", at("none").display());
    std::fs::write(at("good"), TWO).unwrap();
    run(&named, &at("good")).refused(2, "reading the kubeconfig");
}

#[test]
fn a_server_whose_certificate_has_expired_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let authority = folder.path().join("ca.crt");
    std::fs::write(&authority, certificate.pem()).unwrap();
    let config = shows(&certificate, &key);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client hangs up when it has seen the certificate.
            let _ = server.complete_io(&mut client);
        }
    });
    let mut kubeconfig = TWO.replace("127.0.0.1:1", &format!("localhost:{port}"));
    kubeconfig = kubeconfig.replace(
        "'}}",
        &format!("', certificate-authority: '{}'}}}}", authority.display()),
    );
    let file = folder.path().join("config");
    std::fs::write(&file, kubeconfig).unwrap();
    let refused = run(ASK, &file);
    refused.refused(3, "expired");
    refused.refused(3, "renew the certificate");
}
